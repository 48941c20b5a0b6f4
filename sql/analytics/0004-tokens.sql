-- Tokens, and what they cost: prices as they are read, and candles of hours, days, weeks and months.
--
-- Addresses and hashes are in lower case in this whole database, and checks refuse others: the same wallet in another
-- case of its letters would be counted twice.
-- Each candle is made from those of the step below it: the first opens, the last closes. Hours and days are real-time,
-- for the chart's last candle.

SET LOCAL ROLE analytics_owner;

CREATE TABLE public.tokens (
    id               uuid            PRIMARY KEY DEFAULT gen_random_uuid(),
    name             varchar(100)    NOT NULL UNIQUE,
    symbol           varchar(20)     NOT NULL CONSTRAINT idx_tokens_symbol UNIQUE,
    contract_address varchar(42)     NOT NULL UNIQUE CHECK (contract_address ~ '^0x[0-9a-f]{40}$'),
    decimals         integer         NOT NULL DEFAULT 18 CHECK (decimals BETWEEN 0 AND 77),
    total_supply     numeric(65, 30) NOT NULL DEFAULT 0 CHECK (total_supply >= 0),
    is_active        boolean         NOT NULL DEFAULT true,
    created_at       timestamptz     NOT NULL DEFAULT now(),
    updated_at       timestamptz     NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.tokens IS 'Tokens that dashboards show';
COMMENT ON COLUMN public.tokens.id IS 'Key';
COMMENT ON COLUMN public.tokens.name IS 'What people call it';
COMMENT ON COLUMN public.tokens.symbol IS 'Such as LZAR';
COMMENT ON COLUMN public.tokens.contract_address IS 'Its contract, 0x and 40 hexadecimal digits in lower case';
COMMENT ON COLUMN public.tokens.decimals IS 'Digits after the point on the chain; amounts here have the point where it belongs';
COMMENT ON COLUMN public.tokens.total_supply IS 'Of all holders together';
COMMENT ON COLUMN public.tokens.is_active IS 'Whether dashboards show it';
COMMENT ON COLUMN public.tokens.created_at IS 'When the row was made';
COMMENT ON COLUMN public.tokens.updated_at IS 'When the row was last changed';
CREATE INDEX idx_tokens_active ON public.tokens (is_active);

CREATE FUNCTION ops.set_updated_at() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION ops.set_updated_at() IS 'Trigger: updated_at is when the transaction that changed the row began';
CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.tokens FOR EACH ROW EXECUTE FUNCTION ops.set_updated_at();

CREATE TABLE public.token_price_data (
    id         uuid            NOT NULL DEFAULT gen_random_uuid(),
    timestamp  timestamptz     NOT NULL,
    price      numeric(20, 8)  NOT NULL CHECK (price >= 0),
    volume     numeric(65, 30) NOT NULL DEFAULT 0 CHECK (volume >= 0),
    market_cap numeric(65, 30) NOT NULL DEFAULT 0 CHECK (market_cap >= 0),
    change24h  numeric(10, 4)  NOT NULL DEFAULT 0,
    token_id   uuid            NOT NULL REFERENCES public.tokens (id) ON DELETE CASCADE,
    PRIMARY KEY (id, timestamp),
    CONSTRAINT token_price_data_token_id_timestamp_key UNIQUE (token_id, timestamp)
);
COMMENT ON TABLE public.token_price_data IS 'Prices, as they are read';
COMMENT ON COLUMN public.token_price_data.id IS 'Key, with the time';
COMMENT ON COLUMN public.token_price_data.timestamp IS 'When it was the price; one for each token and moment';
COMMENT ON COLUMN public.token_price_data.price IS 'In the currency of the dashboard';
COMMENT ON COLUMN public.token_price_data.volume IS 'Traded in the 24 hours before, as the source has it: such volumes do not add up';
COMMENT ON COLUMN public.token_price_data.market_cap IS 'Price times supply, as the source has it';
COMMENT ON COLUMN public.token_price_data.change24h IS 'Against 24 hours before, in percent';
COMMENT ON COLUMN public.token_price_data.token_id IS 'Which token';

DO $$ BEGIN PERFORM create_hypertable('public.token_price_data', by_range('timestamp', INTERVAL '7 days')); END $$;
ALTER TABLE public.token_price_data
    SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'token_id', timescaledb.orderby = 'timestamp DESC, id');
CALL add_columnstore_policy('public.token_price_data', after => INTERVAL '7 days');

CREATE MATERIALIZED VIEW public.token_price_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 hour', timestamp) AS bucket,
    token_id,
    first(price, timestamp) AS open,
    max(price) AS high,
    min(price) AS low,
    last(price, timestamp) AS close,
    last(volume, timestamp) AS volume,
    last(market_cap, timestamp) AS market_cap,
    count(*) AS samples
FROM public.token_price_data
GROUP BY 1, 2
WITH NO DATA;

CREATE MATERIALIZED VIEW public.token_price_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 day', bucket) AS bucket,
    token_id,
    first(open, bucket) AS open,
    max(high) AS high,
    min(low) AS low,
    last(close, bucket) AS close,
    last(volume, bucket) AS volume,
    last(market_cap, bucket) AS market_cap,
    sum(samples)::bigint AS samples
FROM public.token_price_hourly
GROUP BY 1, 2
WITH NO DATA;

CREATE MATERIALIZED VIEW public.token_price_weekly
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT
    time_bucket(INTERVAL '1 week', bucket) AS bucket,
    token_id,
    first(open, bucket) AS open,
    max(high) AS high,
    min(low) AS low,
    last(close, bucket) AS close,
    last(volume, bucket) AS volume,
    last(market_cap, bucket) AS market_cap,
    sum(samples)::bigint AS samples
FROM public.token_price_daily
GROUP BY 1, 2
WITH NO DATA;

CREATE MATERIALIZED VIEW public.token_price_monthly
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT
    time_bucket(INTERVAL '1 month', bucket) AS bucket,
    token_id,
    first(open, bucket) AS open,
    max(high) AS high,
    min(low) AS low,
    last(close, bucket) AS close,
    last(volume, bucket) AS volume,
    last(market_cap, bucket) AS market_cap,
    sum(samples)::bigint AS samples
FROM public.token_price_daily
GROUP BY 1, 2
WITH NO DATA;

COMMENT ON VIEW public.token_price_hourly IS 'Candles of hours; real-time';
COMMENT ON COLUMN public.token_price_hourly.bucket IS 'When the hour begins, UTC';
COMMENT ON COLUMN public.token_price_hourly.token_id IS 'Which token';
COMMENT ON COLUMN public.token_price_hourly.open IS 'The first price';
COMMENT ON COLUMN public.token_price_hourly.high IS 'The highest';
COMMENT ON COLUMN public.token_price_hourly.low IS 'The lowest';
COMMENT ON COLUMN public.token_price_hourly.close IS 'The last';
COMMENT ON COLUMN public.token_price_hourly.volume IS 'As of the last price: of the 24 hours before it';
COMMENT ON COLUMN public.token_price_hourly.market_cap IS 'As of the last price';
COMMENT ON COLUMN public.token_price_hourly.samples IS 'How many prices were read';

COMMENT ON VIEW public.token_price_daily IS 'Candles of days; real-time';
COMMENT ON COLUMN public.token_price_daily.bucket IS 'When the day begins, UTC';
COMMENT ON COLUMN public.token_price_daily.token_id IS 'Which token';
COMMENT ON COLUMN public.token_price_daily.open IS 'The first price';
COMMENT ON COLUMN public.token_price_daily.high IS 'The highest';
COMMENT ON COLUMN public.token_price_daily.low IS 'The lowest';
COMMENT ON COLUMN public.token_price_daily.close IS 'The last';
COMMENT ON COLUMN public.token_price_daily.volume IS 'As of the last price: of the 24 hours before it';
COMMENT ON COLUMN public.token_price_daily.market_cap IS 'As of the last price';
COMMENT ON COLUMN public.token_price_daily.samples IS 'How many prices were read';

COMMENT ON VIEW public.token_price_weekly IS 'Candles of weeks that are over';
COMMENT ON COLUMN public.token_price_weekly.bucket IS 'When the week begins, UTC';
COMMENT ON COLUMN public.token_price_weekly.token_id IS 'Which token';
COMMENT ON COLUMN public.token_price_weekly.open IS 'The first price';
COMMENT ON COLUMN public.token_price_weekly.high IS 'The highest';
COMMENT ON COLUMN public.token_price_weekly.low IS 'The lowest';
COMMENT ON COLUMN public.token_price_weekly.close IS 'The last';
COMMENT ON COLUMN public.token_price_weekly.volume IS 'As of the last price: of the 24 hours before it';
COMMENT ON COLUMN public.token_price_weekly.market_cap IS 'As of the last price';
COMMENT ON COLUMN public.token_price_weekly.samples IS 'How many prices were read';

COMMENT ON VIEW public.token_price_monthly IS 'Candles of months that are over';
COMMENT ON COLUMN public.token_price_monthly.bucket IS 'When the month begins, UTC';
COMMENT ON COLUMN public.token_price_monthly.token_id IS 'Which token';
COMMENT ON COLUMN public.token_price_monthly.open IS 'The first price';
COMMENT ON COLUMN public.token_price_monthly.high IS 'The highest';
COMMENT ON COLUMN public.token_price_monthly.low IS 'The lowest';
COMMENT ON COLUMN public.token_price_monthly.close IS 'The last';
COMMENT ON COLUMN public.token_price_monthly.volume IS 'As of the last price: of the 24 hours before it';
COMMENT ON COLUMN public.token_price_monthly.market_cap IS 'As of the last price';
COMMENT ON COLUMN public.token_price_monthly.samples IS 'How many prices were read';

-- Windows as in 0002-blockchain-metrics.
DO $$
BEGIN
    PERFORM add_continuous_aggregate_policy('public.token_price_hourly', schedule_interval => '10 minutes'::interval,
        start_offset => '90 days'::interval, end_offset => '10 minutes'::interval);
    PERFORM add_continuous_aggregate_policy('public.token_price_daily', schedule_interval => '1 hour'::interval,
        start_offset => '91 days'::interval, end_offset => '1 hour'::interval);
    PERFORM add_continuous_aggregate_policy('public.token_price_weekly', schedule_interval => '6 hours'::interval,
        start_offset => '97 days'::interval, end_offset => '1 day'::interval);
    PERFORM add_continuous_aggregate_policy('public.token_price_monthly', schedule_interval => '1 day'::interval,
        start_offset => '121 days'::interval, end_offset => '1 day'::interval);
END
$$;

GRANT SELECT, INSERT, UPDATE ON public.tokens TO analytics_app;
GRANT SELECT, INSERT ON public.token_price_data TO analytics_app;
GRANT SELECT ON public.tokens, public.token_price_data TO analyst, auditor;
GRANT SELECT ON
    public.token_price_hourly, public.token_price_daily, public.token_price_weekly, public.token_price_monthly
    TO analytics_app, analyst, auditor;
