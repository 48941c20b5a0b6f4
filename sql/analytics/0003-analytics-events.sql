-- What users do, as a stream, and in hours, days, weeks and months.
--
-- Each step is made from the events themselves: a user who comes on two days is one user of the week, so that distinct
-- counts of parts do not add up. None is real-time: these are reports, and distinct counts over raw rows cost.
-- user_analytics of pend_production holds what joins with users under their policies. Here a user is an id, and no more.

SET LOCAL ROLE analytics_owner;

CREATE TABLE public.analytics_events (
    time       timestamptz NOT NULL,
    event_type varchar(50) NOT NULL,
    user_id    uuid,
    event_data jsonb       NOT NULL DEFAULT '{}',
    session_id varchar(100)
);
COMMENT ON TABLE public.analytics_events IS 'What users did; no key: two events may be alike';
COMMENT ON COLUMN public.analytics_events.time IS 'When';
COMMENT ON COLUMN public.analytics_events.event_type IS 'What';
COMMENT ON COLUMN public.analytics_events.user_id IS 'Who, as in users of pend_production; NULL: nobody was logged in';
COMMENT ON COLUMN public.analytics_events.event_data IS 'Details';
COMMENT ON COLUMN public.analytics_events.session_id IS 'In which session';

DO $$ BEGIN PERFORM create_hypertable('public.analytics_events', by_range('time', INTERVAL '7 days')); END $$;
CREATE INDEX idx_analytics_events_type_time ON public.analytics_events (event_type, time DESC);
CREATE INDEX idx_analytics_events_user_time ON public.analytics_events (user_id, time DESC) WHERE user_id IS NOT NULL;
ALTER TABLE public.analytics_events
    SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'event_type', timescaledb.orderby = 'time DESC');
CALL add_columnstore_policy('public.analytics_events', after => INTERVAL '7 days');

CREATE MATERIALIZED VIEW public.analytics_events_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT
    time_bucket(INTERVAL '1 hour', time) AS bucket,
    event_type,
    count(*) AS event_count,
    count(DISTINCT user_id) AS unique_users,
    count(DISTINCT session_id) AS unique_sessions
FROM public.analytics_events
GROUP BY 1, 2
WITH NO DATA;

CREATE MATERIALIZED VIEW public.analytics_events_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT
    time_bucket(INTERVAL '1 day', time) AS bucket,
    event_type,
    count(*) AS event_count,
    count(DISTINCT user_id) AS unique_users,
    count(DISTINCT session_id) AS unique_sessions
FROM public.analytics_events
GROUP BY 1, 2
WITH NO DATA;

CREATE MATERIALIZED VIEW public.analytics_events_weekly
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT
    time_bucket(INTERVAL '1 week', time) AS bucket,
    event_type,
    count(*) AS event_count,
    count(DISTINCT user_id) AS unique_users,
    count(DISTINCT session_id) AS unique_sessions
FROM public.analytics_events
GROUP BY 1, 2
WITH NO DATA;

CREATE MATERIALIZED VIEW public.analytics_events_monthly
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT
    time_bucket(INTERVAL '1 month', time) AS bucket,
    event_type,
    count(*) AS event_count,
    count(DISTINCT user_id) AS unique_users,
    count(DISTINCT session_id) AS unique_sessions
FROM public.analytics_events
GROUP BY 1, 2
WITH NO DATA;

COMMENT ON VIEW public.analytics_events_hourly IS 'analytics_events in hours that are over';
COMMENT ON COLUMN public.analytics_events_hourly.bucket IS 'When the hour begins, UTC';
COMMENT ON COLUMN public.analytics_events_hourly.event_type IS 'What';
COMMENT ON COLUMN public.analytics_events_hourly.event_count IS 'How often';
COMMENT ON COLUMN public.analytics_events_hourly.unique_users IS 'By how many users, each counted once';
COMMENT ON COLUMN public.analytics_events_hourly.unique_sessions IS 'In how many sessions';

COMMENT ON VIEW public.analytics_events_daily IS 'analytics_events in days that are over';
COMMENT ON COLUMN public.analytics_events_daily.bucket IS 'When the day begins, UTC';
COMMENT ON COLUMN public.analytics_events_daily.event_type IS 'What';
COMMENT ON COLUMN public.analytics_events_daily.event_count IS 'How often';
COMMENT ON COLUMN public.analytics_events_daily.unique_users IS 'By how many users, each counted once';
COMMENT ON COLUMN public.analytics_events_daily.unique_sessions IS 'In how many sessions';

COMMENT ON VIEW public.analytics_events_weekly IS 'analytics_events in weeks that are over';
COMMENT ON COLUMN public.analytics_events_weekly.bucket IS 'When the week begins, UTC';
COMMENT ON COLUMN public.analytics_events_weekly.event_type IS 'What';
COMMENT ON COLUMN public.analytics_events_weekly.event_count IS 'How often';
COMMENT ON COLUMN public.analytics_events_weekly.unique_users IS 'By how many users, each counted once';
COMMENT ON COLUMN public.analytics_events_weekly.unique_sessions IS 'In how many sessions';

COMMENT ON VIEW public.analytics_events_monthly IS 'analytics_events in months that are over';
COMMENT ON COLUMN public.analytics_events_monthly.bucket IS 'When the month begins, UTC';
COMMENT ON COLUMN public.analytics_events_monthly.event_type IS 'What';
COMMENT ON COLUMN public.analytics_events_monthly.event_count IS 'How often';
COMMENT ON COLUMN public.analytics_events_monthly.unique_users IS 'By how many users, each counted once';
COMMENT ON COLUMN public.analytics_events_monthly.unique_sessions IS 'In how many sessions';

-- Windows as in 0002-blockchain-metrics.
DO $$
BEGIN
    PERFORM add_continuous_aggregate_policy('public.analytics_events_hourly', schedule_interval => '10 minutes'::interval,
        start_offset => '90 days'::interval, end_offset => '10 minutes'::interval);
    PERFORM add_continuous_aggregate_policy('public.analytics_events_daily', schedule_interval => '1 hour'::interval,
        start_offset => '91 days'::interval, end_offset => '1 hour'::interval);
    PERFORM add_continuous_aggregate_policy('public.analytics_events_weekly', schedule_interval => '6 hours'::interval,
        start_offset => '97 days'::interval, end_offset => '1 day'::interval);
    PERFORM add_continuous_aggregate_policy('public.analytics_events_monthly', schedule_interval => '1 day'::interval,
        start_offset => '121 days'::interval, end_offset => '1 day'::interval);
END
$$;

-- Details and sessions may name a person: not for the analyst. TimescaleDB has no grants to columns of a hypertable that is
-- compressed, so it is a view with the rights of its owner.
CREATE VIEW public.event_log AS
SELECT time, event_type, user_id FROM public.analytics_events;
COMMENT ON VIEW public.event_log IS 'analytics_events without details and sessions';
COMMENT ON COLUMN public.event_log.time IS 'When';
COMMENT ON COLUMN public.event_log.event_type IS 'What';
COMMENT ON COLUMN public.event_log.user_id IS 'Who; NULL: nobody was logged in';

GRANT SELECT, INSERT ON public.analytics_events TO analytics_app;
GRANT SELECT ON public.analytics_events TO auditor;
GRANT SELECT ON public.event_log TO analyst, auditor;
GRANT SELECT ON
    public.analytics_events_hourly, public.analytics_events_daily, public.analytics_events_weekly,
    public.analytics_events_monthly
    TO analytics_app, analyst, auditor;
