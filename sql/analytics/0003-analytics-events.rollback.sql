DROP VIEW public.event_log;
DROP MATERIALIZED VIEW public.analytics_events_monthly;
DROP MATERIALIZED VIEW public.analytics_events_weekly;
DROP MATERIALIZED VIEW public.analytics_events_daily;
DROP MATERIALIZED VIEW public.analytics_events_hourly;
DROP TABLE public.analytics_events;
