DROP VIEW public.token_holders;
DROP VIEW public.daily_unique_wallets;
DROP VIEW public.daily_cumulative_metrics;
DROP VIEW public.hourly_activity;
DROP MATERIALIZED VIEW public.token_wallets_daily;
DROP MATERIALIZED VIEW public.token_activity_daily;
DROP MATERIALIZED VIEW public.token_activity_hourly;
DROP TABLE public.transaction_activity;
