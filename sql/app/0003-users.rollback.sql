DROP TABLE public.user_profiles;
DROP TABLE public.users;
DROP TABLE public.user_tiers;
