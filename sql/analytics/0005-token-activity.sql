-- Transfers of tokens, and what dashboards show of them: activity by the hour, growth by the day, wallets, holders.
--
-- What failed moved nothing: it is counted as failed, and in nothing else. The zero address, from which tokens are made
-- and to which they are burnt, is no wallet.
--
-- A transfer concerns two wallets. token_activity_hourly and token_wallets_daily look at it twice, once from each side
-- (the VALUES below), which a count of distinct wallets over both columns needs. A wallet in two hours is one wallet of
-- the day, so that days of wallets are made from transfers, not from hours.
--
-- A cumulative sum, or whether a wallet was there before, is no aggregate of a bucket: a continuous aggregate cannot have
-- it. So the days are stored, and views over them do the rest. They need every day since the first: see 0007-retention.

SET LOCAL ROLE analytics_owner;

CREATE TABLE public.transaction_activity (
    id               uuid            NOT NULL DEFAULT gen_random_uuid(),
    timestamp        timestamptz     NOT NULL,
    transaction_hash varchar(66)     CHECK (transaction_hash ~ '^0x[0-9a-f]{64}$'),
    from_address     varchar(42)     NOT NULL CHECK (from_address ~ '^0x[0-9a-f]{40}$'),
    to_address       varchar(42)     NOT NULL CHECK (to_address ~ '^0x[0-9a-f]{40}$'),
    amount           numeric(65, 30) NOT NULL CHECK (amount >= 0),
    gas_used         bigint          NOT NULL DEFAULT 0 CHECK (gas_used >= 0),
    gas_price        bigint          NOT NULL DEFAULT 0 CHECK (gas_price >= 0),
    block_number     bigint          CHECK (block_number >= 0),
    is_success       boolean         NOT NULL DEFAULT true,
    token_id         uuid            NOT NULL REFERENCES public.tokens (id) ON DELETE CASCADE,
    PRIMARY KEY (id, timestamp)
);
COMMENT ON TABLE public.transaction_activity IS 'Transfers of tokens';
COMMENT ON COLUMN public.transaction_activity.id IS
    'Key, with the time. One transaction may hold several transfers, so who reads the chain makes the id from the hash and the place in it: what is read twice is refused';
COMMENT ON COLUMN public.transaction_activity.timestamp IS 'When its block was made';
COMMENT ON COLUMN public.transaction_activity.transaction_hash IS 'In which transaction, 0x and 64 hexadecimal digits in lower case';
COMMENT ON COLUMN public.transaction_activity.from_address IS 'Who sent it, in lower case; the zero address: it was made';
COMMENT ON COLUMN public.transaction_activity.to_address IS 'To whom, in lower case; the zero address: it was burnt';
COMMENT ON COLUMN public.transaction_activity.amount IS 'In whole tokens';
COMMENT ON COLUMN public.transaction_activity.gas_used IS 'The gas that was used';
COMMENT ON COLUMN public.transaction_activity.gas_price IS 'In wei';
COMMENT ON COLUMN public.transaction_activity.block_number IS 'In which block';
COMMENT ON COLUMN public.transaction_activity.is_success IS 'Whether it came to pass';
COMMENT ON COLUMN public.transaction_activity.token_id IS 'Which token';

DO $$ BEGIN PERFORM create_hypertable('public.transaction_activity', by_range('timestamp', INTERVAL '7 days')); END $$;
CREATE INDEX idx_transaction_activity_token_time ON public.transaction_activity (token_id, timestamp DESC);
CREATE INDEX idx_transaction_activity_from ON public.transaction_activity (from_address, timestamp DESC);
CREATE INDEX idx_transaction_activity_to ON public.transaction_activity (to_address, timestamp DESC);
ALTER TABLE public.transaction_activity
    SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'token_id', timescaledb.orderby = 'timestamp DESC, id');
CALL add_columnstore_policy('public.transaction_activity', after => INTERVAL '7 days');

CREATE MATERIALIZED VIEW public.token_activity_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 hour', t.timestamp) AS bucket,
    t.token_id,
    count(*) FILTER (WHERE w.sends AND t.is_success) AS transaction_count,
    count(*) FILTER (WHERE w.sends AND NOT t.is_success) AS failed_count,
    coalesce(sum(t.amount) FILTER (WHERE w.sends AND t.is_success), 0) AS total_volume,
    count(DISTINCT w.address) FILTER (
        WHERE t.is_success AND w.address <> '0x0000000000000000000000000000000000000000'
    ) AS unique_wallets
FROM public.transaction_activity AS t
CROSS JOIN LATERAL (VALUES (true, t.from_address), (false, t.to_address)) AS w (sends, address)
GROUP BY 1, 2
WITH NO DATA;

CREATE MATERIALIZED VIEW public.token_activity_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 day', bucket) AS bucket,
    token_id,
    sum(transaction_count)::bigint AS transaction_count,
    sum(failed_count)::bigint AS failed_count,
    sum(total_volume) AS total_volume
FROM public.token_activity_hourly
GROUP BY 1, 2
WITH NO DATA;

CREATE MATERIALIZED VIEW public.token_wallets_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 day', t.timestamp) AS bucket,
    t.token_id,
    w.address,
    count(*) FILTER (WHERE w.sends) AS sent_count,
    count(*) FILTER (WHERE NOT w.sends) AS received_count,
    coalesce(sum(t.amount) FILTER (WHERE w.sends), 0) AS sent_amount,
    coalesce(sum(t.amount) FILTER (WHERE NOT w.sends), 0) AS received_amount
FROM public.transaction_activity AS t
CROSS JOIN LATERAL (VALUES (true, t.from_address), (false, t.to_address)) AS w (sends, address)
WHERE t.is_success AND w.address <> '0x0000000000000000000000000000000000000000'
GROUP BY 1, 2, 3
WITH NO DATA;

COMMENT ON VIEW public.token_activity_hourly IS 'transaction_activity in hours; real-time';
COMMENT ON COLUMN public.token_activity_hourly.bucket IS 'When the hour begins, UTC';
COMMENT ON COLUMN public.token_activity_hourly.token_id IS 'Which token';
COMMENT ON COLUMN public.token_activity_hourly.transaction_count IS 'Transfers that came to pass';
COMMENT ON COLUMN public.token_activity_hourly.failed_count IS 'Those that failed';
COMMENT ON COLUMN public.token_activity_hourly.total_volume IS 'What the former moved, in whole tokens';
COMMENT ON COLUMN public.token_activity_hourly.unique_wallets IS 'Wallets that sent or received, each counted once';

COMMENT ON VIEW public.token_activity_daily IS 'transaction_activity in days; real-time';
COMMENT ON COLUMN public.token_activity_daily.bucket IS 'When the day begins, UTC';
COMMENT ON COLUMN public.token_activity_daily.token_id IS 'Which token';
COMMENT ON COLUMN public.token_activity_daily.transaction_count IS 'Transfers that came to pass';
COMMENT ON COLUMN public.token_activity_daily.failed_count IS 'Those that failed';
COMMENT ON COLUMN public.token_activity_daily.total_volume IS 'What the former moved, in whole tokens';

COMMENT ON VIEW public.token_wallets_daily IS 'What each wallet did with a token on a day; real-time';
COMMENT ON COLUMN public.token_wallets_daily.bucket IS 'When the day begins, UTC';
COMMENT ON COLUMN public.token_wallets_daily.token_id IS 'Which token';
COMMENT ON COLUMN public.token_wallets_daily.address IS 'Which wallet';
COMMENT ON COLUMN public.token_wallets_daily.sent_count IS 'Transfers from it';
COMMENT ON COLUMN public.token_wallets_daily.received_count IS 'Transfers to it';
COMMENT ON COLUMN public.token_wallets_daily.sent_amount IS 'What these took away, in whole tokens';
COMMENT ON COLUMN public.token_wallets_daily.received_amount IS 'What those brought';

DO $$
BEGIN
    PERFORM add_continuous_aggregate_policy('public.token_activity_hourly', schedule_interval => '10 minutes'::interval,
        start_offset => '90 days'::interval, end_offset => '10 minutes'::interval);
    PERFORM add_continuous_aggregate_policy('public.token_activity_daily', schedule_interval => '1 hour'::interval,
        start_offset => '91 days'::interval, end_offset => '1 hour'::interval);
    PERFORM add_continuous_aggregate_policy('public.token_wallets_daily', schedule_interval => '1 hour'::interval,
        start_offset => '91 days'::interval, end_offset => '1 hour'::interval);
END
$$;

-- What the dashboard document models as stored tables, by its names. A day without transfers has no row.
CREATE VIEW public.hourly_activity WITH (security_invoker = true) AS
SELECT
    token_id,
    (bucket AT TIME ZONE 'UTC')::date AS date,
    extract(hour FROM bucket AT TIME ZONE 'UTC')::integer AS hour,
    transaction_count,
    total_volume,
    unique_wallets
FROM public.token_activity_hourly;
COMMENT ON VIEW public.hourly_activity IS 'For heatmaps: token_activity_hourly by date and hour';
COMMENT ON COLUMN public.hourly_activity.token_id IS 'Which token';
COMMENT ON COLUMN public.hourly_activity.date IS 'The day, UTC';
COMMENT ON COLUMN public.hourly_activity.hour IS '0 to 23';
COMMENT ON COLUMN public.hourly_activity.transaction_count IS 'Transfers that came to pass';
COMMENT ON COLUMN public.hourly_activity.total_volume IS 'What they moved, in whole tokens';
COMMENT ON COLUMN public.hourly_activity.unique_wallets IS 'Wallets that sent or received, each counted once';

CREATE VIEW public.daily_cumulative_metrics WITH (security_invoker = true) AS
SELECT
    token_id,
    (bucket AT TIME ZONE 'UTC')::date AS date,
    (sum(transaction_count) OVER so_far)::bigint AS cumulative_tx_count,
    sum(total_volume) OVER so_far AS cumulative_tx_amount,
    transaction_count AS daily_tx_count,
    total_volume AS daily_tx_amount
FROM public.token_activity_daily
WINDOW so_far AS (PARTITION BY token_id ORDER BY bucket);
COMMENT ON VIEW public.daily_cumulative_metrics IS 'For growth charts: each day, and everything up to its end';
COMMENT ON COLUMN public.daily_cumulative_metrics.token_id IS 'Which token';
COMMENT ON COLUMN public.daily_cumulative_metrics.date IS 'The day, UTC';
COMMENT ON COLUMN public.daily_cumulative_metrics.cumulative_tx_count IS 'Transfers since the first';
COMMENT ON COLUMN public.daily_cumulative_metrics.cumulative_tx_amount IS 'What they moved, in whole tokens';
COMMENT ON COLUMN public.daily_cumulative_metrics.daily_tx_count IS 'Transfers of the day';
COMMENT ON COLUMN public.daily_cumulative_metrics.daily_tx_amount IS 'What those moved';

CREATE VIEW public.daily_unique_wallets WITH (security_invoker = true) AS
WITH first_seen AS (
    SELECT token_id, address, min(bucket) AS bucket FROM public.token_wallets_daily GROUP BY token_id, address
)
SELECT
    day.token_id,
    (day.bucket AT TIME ZONE 'UTC')::date AS date,
    count(*) AS unique_wallet_count,
    count(*) FILTER (WHERE day.bucket = first_seen.bucket) AS new_wallets,
    count(*) FILTER (WHERE day.sent_count > 0) AS active_wallets
FROM public.token_wallets_daily AS day
JOIN first_seen USING (token_id, address)
GROUP BY 1, 2;
COMMENT ON VIEW public.daily_unique_wallets IS 'Wallets of each day';
COMMENT ON COLUMN public.daily_unique_wallets.token_id IS 'Which token';
COMMENT ON COLUMN public.daily_unique_wallets.date IS 'The day, UTC';
COMMENT ON COLUMN public.daily_unique_wallets.unique_wallet_count IS 'That sent or received';
COMMENT ON COLUMN public.daily_unique_wallets.new_wallets IS 'Of these, for the first time';
COMMENT ON COLUMN public.daily_unique_wallets.active_wallets IS 'Of these, that sent';

CREATE VIEW public.token_holders WITH (security_invoker = true) AS
SELECT token_id, address, sum(received_amount) - sum(sent_amount) AS balance
FROM public.token_wallets_daily
GROUP BY 1, 2
HAVING sum(received_amount) <> sum(sent_amount);
COMMENT ON VIEW public.token_holders IS 'Who holds how much, by all transfers that were read';
COMMENT ON COLUMN public.token_holders.token_id IS 'Which token';
COMMENT ON COLUMN public.token_holders.address IS 'Which wallet';
COMMENT ON COLUMN public.token_holders.balance IS 'Received less sent, in whole tokens; negative: a transfer is missing';

GRANT SELECT, INSERT ON public.transaction_activity TO analytics_app;
GRANT SELECT ON public.transaction_activity, public.token_activity_hourly, public.token_activity_daily,
    public.token_wallets_daily, public.hourly_activity, public.daily_cumulative_metrics, public.daily_unique_wallets,
    public.token_holders
    TO analytics_app, analyst, auditor;
