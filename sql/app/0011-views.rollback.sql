DROP TABLE ops.view_refresh;
DROP VIEW public.kyc_queue;
DROP VIEW public.wallet_directory;
DROP VIEW public.user_portfolio;
DROP MATERIALIZED VIEW public.real_time_stats;
DROP MATERIALIZED VIEW public.user_portfolio_summary;
DROP MATERIALIZED VIEW public.asset_performance_summary;
