DROP TABLE public.api_usage_logs;
DROP TABLE public.system_logs;
DROP TABLE public.system_metrics;
DROP TABLE public.user_analytics;
