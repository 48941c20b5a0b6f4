-- Interest that is paid to holders of tokens, and what is paid in a week. The dashboard document has the weeks only;
-- they need something to be made from. Not real-time: a week counts when it is over.

SET LOCAL ROLE analytics_owner;

CREATE TABLE public.interest_payments (
    id               uuid            NOT NULL DEFAULT gen_random_uuid(),
    timestamp        timestamptz     NOT NULL,
    recipient        varchar(42)     NOT NULL CHECK (recipient ~ '^0x[0-9a-f]{40}$'),
    amount           numeric(65, 30) NOT NULL CHECK (amount > 0),
    transaction_hash varchar(66)     CHECK (transaction_hash ~ '^0x[0-9a-f]{64}$'),
    token_id         uuid            NOT NULL REFERENCES public.tokens (id) ON DELETE CASCADE,
    PRIMARY KEY (id, timestamp)
);
COMMENT ON TABLE public.interest_payments IS 'Interest, as it was paid';
COMMENT ON COLUMN public.interest_payments.id IS 'Key, with the time; made as that of transaction_activity';
COMMENT ON COLUMN public.interest_payments.timestamp IS 'When it was paid';
COMMENT ON COLUMN public.interest_payments.recipient IS 'To which wallet, in lower case';
COMMENT ON COLUMN public.interest_payments.amount IS 'In whole tokens';
COMMENT ON COLUMN public.interest_payments.transaction_hash IS 'In which transaction, 0x and 64 hexadecimal digits in lower case';
COMMENT ON COLUMN public.interest_payments.token_id IS 'On which token';

DO $$ BEGIN PERFORM create_hypertable('public.interest_payments', by_range('timestamp', INTERVAL '7 days')); END $$;
CREATE INDEX idx_interest_payments_token_time ON public.interest_payments (token_id, timestamp DESC);
CREATE INDEX idx_interest_payments_recipient ON public.interest_payments (recipient, timestamp DESC);
ALTER TABLE public.interest_payments
    SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'token_id', timescaledb.orderby = 'timestamp DESC, id');
CALL add_columnstore_policy('public.interest_payments', after => INTERVAL '7 days');

CREATE MATERIALIZED VIEW public.interest_payments_weekly
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT
    time_bucket(INTERVAL '1 week', timestamp) AS bucket,
    token_id,
    sum(amount) AS total_amount,
    count(*) AS payment_count
FROM public.interest_payments
GROUP BY 1, 2
WITH NO DATA;
COMMENT ON VIEW public.interest_payments_weekly IS 'interest_payments in weeks that are over';
COMMENT ON COLUMN public.interest_payments_weekly.bucket IS 'When the week begins: Monday, UTC';
COMMENT ON COLUMN public.interest_payments_weekly.token_id IS 'On which token';
COMMENT ON COLUMN public.interest_payments_weekly.total_amount IS 'What was paid, in whole tokens';
COMMENT ON COLUMN public.interest_payments_weekly.payment_count IS 'In how many payments';
DO $$
BEGIN
    PERFORM add_continuous_aggregate_policy('public.interest_payments_weekly', schedule_interval => '6 hours'::interval,
        start_offset => '97 days'::interval, end_offset => '1 hour'::interval);
END
$$;

CREATE VIEW public.weekly_payments WITH (security_invoker = true) AS
SELECT
    token_id,
    (bucket AT TIME ZONE 'UTC')::date AS week_start_date,
    total_amount AS total_payments_amount,
    payment_count,
    total_amount / payment_count AS average_payment
FROM public.interest_payments_weekly;
COMMENT ON VIEW public.weekly_payments IS 'Interest of each week, as the dashboard document has it';
COMMENT ON COLUMN public.weekly_payments.token_id IS 'On which token';
COMMENT ON COLUMN public.weekly_payments.week_start_date IS 'Monday, UTC';
COMMENT ON COLUMN public.weekly_payments.total_payments_amount IS 'What was paid, in whole tokens';
COMMENT ON COLUMN public.weekly_payments.payment_count IS 'In how many payments';
COMMENT ON COLUMN public.weekly_payments.average_payment IS 'Of one payment';

GRANT SELECT, INSERT ON public.interest_payments TO analytics_app;
GRANT SELECT ON public.interest_payments, public.interest_payments_weekly, public.weekly_payments
    TO analytics_app, analyst, auditor;
