-- What the network does, block by block, and in hours, days, weeks and months.
--
-- Buckets are of UTC; a week begins on Monday. Each step is made from the one below it: sums, counts and extremes of
-- parts are those of the whole. An average is not, so that its sum and its number of samples are kept beside it.
-- Hours and days are real-time (materialized_only = false): the dashboard shows the current one. Weeks and months are
-- those that are over.
--
-- No row security here or in any table of this database: TimescaleDB refuses it on hypertables that are compressed.

SET LOCAL ROLE analytics_owner;

CREATE TABLE public.blockchain_metrics (
    time              timestamptz NOT NULL,
    block_number      bigint      CHECK (block_number >= 0),
    transaction_count integer     CHECK (transaction_count >= 0),
    gas_used          bigint      CHECK (gas_used >= 0),
    network_hash_rate bigint      CHECK (network_hash_rate >= 0),
    CONSTRAINT blockchain_metrics_block_number_time_key UNIQUE (block_number, time)
);
COMMENT ON TABLE public.blockchain_metrics IS 'What the network did, a row for each block';
COMMENT ON COLUMN public.blockchain_metrics.time IS 'When the block was made';
COMMENT ON COLUMN public.blockchain_metrics.block_number IS 'Height; the same block twice is refused; NULL: a sample without a block';
COMMENT ON COLUMN public.blockchain_metrics.transaction_count IS 'Transactions in it';
COMMENT ON COLUMN public.blockchain_metrics.gas_used IS 'The gas that they used';
COMMENT ON COLUMN public.blockchain_metrics.network_hash_rate IS 'Hashes a second, of all the network';

DO $$ BEGIN PERFORM create_hypertable('public.blockchain_metrics', by_range('time', INTERVAL '7 days')); END $$;
ALTER TABLE public.blockchain_metrics
    SET (timescaledb.enable_columnstore, timescaledb.orderby = 'time DESC, block_number');
CALL add_columnstore_policy('public.blockchain_metrics', after => INTERVAL '7 days');

CREATE MATERIALIZED VIEW public.blockchain_metrics_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 hour', time) AS bucket,
    count(block_number) AS block_count,
    min(block_number) AS first_block,
    max(block_number) AS last_block,
    sum(transaction_count) AS transaction_count,
    sum(gas_used) AS gas_used,
    sum(network_hash_rate) AS hash_rate_sum,
    count(network_hash_rate) AS hash_rate_samples,
    avg(network_hash_rate) AS hash_rate_avg,
    max(network_hash_rate) AS hash_rate_max
FROM public.blockchain_metrics
GROUP BY 1
WITH NO DATA;

CREATE MATERIALIZED VIEW public.blockchain_metrics_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 day', bucket) AS bucket,
    sum(block_count)::bigint AS block_count,
    min(first_block) AS first_block,
    max(last_block) AS last_block,
    sum(transaction_count)::bigint AS transaction_count,
    sum(gas_used) AS gas_used,
    sum(hash_rate_sum) AS hash_rate_sum,
    sum(hash_rate_samples)::bigint AS hash_rate_samples,
    sum(hash_rate_sum) / nullif(sum(hash_rate_samples), 0) AS hash_rate_avg,
    max(hash_rate_max) AS hash_rate_max
FROM public.blockchain_metrics_hourly
GROUP BY 1
WITH NO DATA;

CREATE MATERIALIZED VIEW public.blockchain_metrics_weekly
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT
    time_bucket(INTERVAL '1 week', bucket) AS bucket,
    sum(block_count)::bigint AS block_count,
    min(first_block) AS first_block,
    max(last_block) AS last_block,
    sum(transaction_count)::bigint AS transaction_count,
    sum(gas_used) AS gas_used,
    sum(hash_rate_sum) AS hash_rate_sum,
    sum(hash_rate_samples)::bigint AS hash_rate_samples,
    sum(hash_rate_sum) / nullif(sum(hash_rate_samples), 0) AS hash_rate_avg,
    max(hash_rate_max) AS hash_rate_max
FROM public.blockchain_metrics_daily
GROUP BY 1
WITH NO DATA;

CREATE MATERIALIZED VIEW public.blockchain_metrics_monthly
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT
    time_bucket(INTERVAL '1 month', bucket) AS bucket,
    sum(block_count)::bigint AS block_count,
    min(first_block) AS first_block,
    max(last_block) AS last_block,
    sum(transaction_count)::bigint AS transaction_count,
    sum(gas_used) AS gas_used,
    sum(hash_rate_sum) AS hash_rate_sum,
    sum(hash_rate_samples)::bigint AS hash_rate_samples,
    sum(hash_rate_sum) / nullif(sum(hash_rate_samples), 0) AS hash_rate_avg,
    max(hash_rate_max) AS hash_rate_max
FROM public.blockchain_metrics_daily
GROUP BY 1
WITH NO DATA;

COMMENT ON VIEW public.blockchain_metrics_hourly IS 'blockchain_metrics in hours; real-time';
COMMENT ON COLUMN public.blockchain_metrics_hourly.bucket IS 'When the hour begins, UTC';
COMMENT ON COLUMN public.blockchain_metrics_hourly.block_count IS 'Blocks';
COMMENT ON COLUMN public.blockchain_metrics_hourly.first_block IS 'The lowest height';
COMMENT ON COLUMN public.blockchain_metrics_hourly.last_block IS 'The highest height';
COMMENT ON COLUMN public.blockchain_metrics_hourly.transaction_count IS 'Transactions';
COMMENT ON COLUMN public.blockchain_metrics_hourly.gas_used IS 'The gas that they used';
COMMENT ON COLUMN public.blockchain_metrics_hourly.hash_rate_sum IS 'Sum of all samples of network_hash_rate';
COMMENT ON COLUMN public.blockchain_metrics_hourly.hash_rate_samples IS 'How many samples there were';
COMMENT ON COLUMN public.blockchain_metrics_hourly.hash_rate_avg IS 'Their average; NULL: there was none';
COMMENT ON COLUMN public.blockchain_metrics_hourly.hash_rate_max IS 'The highest';

COMMENT ON VIEW public.blockchain_metrics_daily IS 'blockchain_metrics in days; real-time';
COMMENT ON COLUMN public.blockchain_metrics_daily.bucket IS 'When the day begins, UTC';
COMMENT ON COLUMN public.blockchain_metrics_daily.block_count IS 'Blocks';
COMMENT ON COLUMN public.blockchain_metrics_daily.first_block IS 'The lowest height';
COMMENT ON COLUMN public.blockchain_metrics_daily.last_block IS 'The highest height';
COMMENT ON COLUMN public.blockchain_metrics_daily.transaction_count IS 'Transactions';
COMMENT ON COLUMN public.blockchain_metrics_daily.gas_used IS 'The gas that they used';
COMMENT ON COLUMN public.blockchain_metrics_daily.hash_rate_sum IS 'Sum of all samples of network_hash_rate';
COMMENT ON COLUMN public.blockchain_metrics_daily.hash_rate_samples IS 'How many samples there were';
COMMENT ON COLUMN public.blockchain_metrics_daily.hash_rate_avg IS 'Their average; NULL: there was none';
COMMENT ON COLUMN public.blockchain_metrics_daily.hash_rate_max IS 'The highest';

COMMENT ON VIEW public.blockchain_metrics_weekly IS 'blockchain_metrics in weeks; those that are over';
COMMENT ON COLUMN public.blockchain_metrics_weekly.bucket IS 'When the week begins, UTC';
COMMENT ON COLUMN public.blockchain_metrics_weekly.block_count IS 'Blocks';
COMMENT ON COLUMN public.blockchain_metrics_weekly.first_block IS 'The lowest height';
COMMENT ON COLUMN public.blockchain_metrics_weekly.last_block IS 'The highest height';
COMMENT ON COLUMN public.blockchain_metrics_weekly.transaction_count IS 'Transactions';
COMMENT ON COLUMN public.blockchain_metrics_weekly.gas_used IS 'The gas that they used';
COMMENT ON COLUMN public.blockchain_metrics_weekly.hash_rate_sum IS 'Sum of all samples of network_hash_rate';
COMMENT ON COLUMN public.blockchain_metrics_weekly.hash_rate_samples IS 'How many samples there were';
COMMENT ON COLUMN public.blockchain_metrics_weekly.hash_rate_avg IS 'Their average; NULL: there was none';
COMMENT ON COLUMN public.blockchain_metrics_weekly.hash_rate_max IS 'The highest';

COMMENT ON VIEW public.blockchain_metrics_monthly IS 'blockchain_metrics in months; those that are over';
COMMENT ON COLUMN public.blockchain_metrics_monthly.bucket IS 'When the month begins, UTC';
COMMENT ON COLUMN public.blockchain_metrics_monthly.block_count IS 'Blocks';
COMMENT ON COLUMN public.blockchain_metrics_monthly.first_block IS 'The lowest height';
COMMENT ON COLUMN public.blockchain_metrics_monthly.last_block IS 'The highest height';
COMMENT ON COLUMN public.blockchain_metrics_monthly.transaction_count IS 'Transactions';
COMMENT ON COLUMN public.blockchain_metrics_monthly.gas_used IS 'The gas that they used';
COMMENT ON COLUMN public.blockchain_metrics_monthly.hash_rate_sum IS 'Sum of all samples of network_hash_rate';
COMMENT ON COLUMN public.blockchain_metrics_monthly.hash_rate_samples IS 'How many samples there were';
COMMENT ON COLUMN public.blockchain_metrics_monthly.hash_rate_avg IS 'Their average; NULL: there was none';
COMMENT ON COLUMN public.blockchain_metrics_monthly.hash_rate_max IS 'The highest';

-- A row may come 90 days late: it is in its bucket, and in those above, after their next refresh. A wide window costs
-- nothing, because only buckets that changed are made anew; each is wider than the one below by a bucket of its own.
DO $$
BEGIN
    PERFORM add_continuous_aggregate_policy('public.blockchain_metrics_hourly', schedule_interval => '10 minutes'::interval,
        start_offset => '90 days'::interval, end_offset => '10 minutes'::interval);
    PERFORM add_continuous_aggregate_policy('public.blockchain_metrics_daily', schedule_interval => '1 hour'::interval,
        start_offset => '91 days'::interval, end_offset => '1 hour'::interval);
    PERFORM add_continuous_aggregate_policy('public.blockchain_metrics_weekly', schedule_interval => '6 hours'::interval,
        start_offset => '97 days'::interval, end_offset => '1 day'::interval);
    PERFORM add_continuous_aggregate_policy('public.blockchain_metrics_monthly', schedule_interval => '1 day'::interval,
        start_offset => '121 days'::interval, end_offset => '1 day'::interval);
END
$$;

GRANT SELECT, INSERT ON public.blockchain_metrics TO analytics_app;
GRANT SELECT ON
    public.blockchain_metrics, public.blockchain_metrics_hourly, public.blockchain_metrics_daily,
    public.blockchain_metrics_weekly, public.blockchain_metrics_monthly
    TO analytics_app, analyst, auditor;
