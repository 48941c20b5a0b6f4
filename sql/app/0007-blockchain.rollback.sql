DROP TABLE public.contract_interactions;
DROP TABLE public.blockchain_events;
DROP TABLE public.blockchain_transactions;
DROP TABLE public.blockchain_blocks;
