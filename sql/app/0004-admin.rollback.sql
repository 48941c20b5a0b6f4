DROP TABLE public.admin_logs;
DROP TABLE public.admin_permissions;
DROP TABLE public.admin_sessions;
DROP TABLE public.admin_users;
