DROP TABLE public.investment_agreements;
DROP TABLE public.transactions;
DROP TABLE public.investments;
DROP TABLE public.asset_metrics;
DROP TABLE public.asset_details;
DROP TABLE public.assets;
