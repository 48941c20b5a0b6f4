DROP MATERIALIZED VIEW public.blockchain_metrics_monthly;
DROP MATERIALIZED VIEW public.blockchain_metrics_weekly;
DROP MATERIALIZED VIEW public.blockchain_metrics_daily;
DROP MATERIALIZED VIEW public.blockchain_metrics_hourly;
DROP TABLE public.blockchain_metrics;
