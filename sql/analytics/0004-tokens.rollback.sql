DROP MATERIALIZED VIEW public.token_price_monthly;
DROP MATERIALIZED VIEW public.token_price_weekly;
DROP MATERIALIZED VIEW public.token_price_daily;
DROP MATERIALIZED VIEW public.token_price_hourly;
DROP TABLE public.token_price_data;
DROP TABLE public.tokens;
DROP FUNCTION ops.set_updated_at();
