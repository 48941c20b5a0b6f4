DROP VIEW public.weekly_payments;
DROP MATERIALIZED VIEW public.interest_payments_weekly;
DROP TABLE public.interest_payments;
