-- How long rows are kept: a row of ops.retention for each hypertable and continuous aggregate, changed by UPDATE.
-- TimescaleDB's own retention policies would take what no aggregate has seen yet, and a change would mean another policy.
--
-- Never shorter than what aggregates over it are still made from: a refresh over dropped rows would drop them from the
-- aggregate too. `at_least` is the longest start_offset of those that read it. Where views need every day since the
-- first, at_least is NULL and so is keep.

SET LOCAL ROLE analytics_owner;

CREATE TABLE ops.retention (
    relation text     PRIMARY KEY,
    keep     interval,
    at_least interval,
    CONSTRAINT retention_keep_check CHECK (keep IS NULL OR (at_least IS NOT NULL AND keep >= at_least))
);
COMMENT ON TABLE ops.retention IS 'How long rows are kept; ops.apply_retention, once a day, drops older ones';
COMMENT ON COLUMN ops.retention.relation IS 'A hypertable or continuous aggregate in public';
COMMENT ON COLUMN ops.retention.keep IS 'For how long; NULL: for ever';
COMMENT ON COLUMN ops.retention.at_least IS 'What keep may not be shorter than; NULL: it may not be set';

INSERT INTO ops.retention (relation, keep, at_least) VALUES
    ('blockchain_metrics', '1 year', '90 days'),
    ('blockchain_metrics_hourly', '2 years', '91 days'),
    ('blockchain_metrics_daily', NULL, '121 days'),
    ('blockchain_metrics_weekly', NULL, '97 days'),
    ('blockchain_metrics_monthly', NULL, '121 days'),
    ('analytics_events', '1 year', '121 days'),
    ('analytics_events_hourly', '1 year', '90 days'),
    ('analytics_events_daily', NULL, '91 days'),
    ('analytics_events_weekly', NULL, '97 days'),
    ('analytics_events_monthly', NULL, '121 days'),
    ('token_price_data', '1 year', '90 days'),
    ('token_price_hourly', '2 years', '91 days'),
    ('token_price_daily', NULL, '121 days'),
    ('token_price_weekly', NULL, '97 days'),
    ('token_price_monthly', NULL, '121 days'),
    ('transaction_activity', '2 years', '91 days'),
    ('token_activity_hourly', '2 years', '91 days'),
    ('token_activity_daily', NULL, NULL),
    ('token_wallets_daily', NULL, NULL),
    ('interest_payments', '7 years', '97 days'),
    ('interest_payments_weekly', NULL, '97 days');

-- The aggregates that lack rows of this relation from before a moment: their refresh has not come so far yet. Rows that
-- came later than 90 days after their time do not count: no refresh will see them unless it is called by hand.
CREATE FUNCTION ops.not_aggregated(relation text, before timestamptz) RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    over  record;
    found boolean;
BEGIN
    FOR over IN
        SELECT a.user_view_name AS name, d.column_name AS at,
            _timescaledb_functions.to_timestamp(_timescaledb_functions.cagg_watermark(a.mat_hypertable_id)) AS made_until
        FROM _timescaledb_catalog.continuous_agg AS a
        JOIN _timescaledb_catalog.hypertable AS source ON source.id = a.raw_hypertable_id
        JOIN _timescaledb_catalog.dimension AS d ON d.hypertable_id = source.id
        LEFT JOIN _timescaledb_catalog.continuous_agg AS below ON below.mat_hypertable_id = source.id
        WHERE coalesce(below.user_view_name, source.table_name) = relation
        ORDER BY a.mat_hypertable_id
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE %I >= $1 AND %I < $2)', relation, over.at, over.at)
        INTO found USING over.made_until, before;
        IF found THEN
            RETURN NEXT over.name;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION ops.not_aggregated(text, timestamptz) IS
    'The continuous aggregates over this relation that have not got to all of its rows from before this moment';

-- Chunk by chunk, whole ones. Where a refresh has failed for so long that an aggregate lacks rows, they stay, and the job
-- fails, so that it is seen. Each relation is a transaction of its own: locks are short, and what was done stays done.
CREATE PROCEDURE ops.apply_retention(job_id integer DEFAULT NULL, config jsonb DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
    rule    record;
    lacking text;
    kept    text[] := '{}';
BEGIN
    FOR rule IN
        SELECT relation, pg_catalog.now() - keep AS before FROM ops.retention WHERE keep IS NOT NULL ORDER BY relation
    LOOP
        SELECT pg_catalog.string_agg(name, ', ') INTO lacking FROM ops.not_aggregated(rule.relation, rule.before) AS name;
        IF lacking IS NULL THEN
            PERFORM public.drop_chunks(pg_catalog.format('public.%I', rule.relation)::regclass, rule.before);
            COMMIT;
        ELSE
            kept := kept || pg_catalog.format('%s (not yet in %s)', rule.relation, lacking);
        END IF;
    END LOOP;
    IF kept <> '{}' THEN
        RAISE EXCEPTION 'rows are kept longer than ops.retention says: %', pg_catalog.array_to_string(kept, '; ')
            USING HINT = 'See in timescaledb_information.job_stats why these are not refreshed.';
    END IF;
END
$$;
COMMENT ON PROCEDURE ops.apply_retention(integer, jsonb) IS
    'Drops chunks that are older than ops.retention keeps; fails, after all others, where an aggregate lacks their rows';

DO $$ BEGIN PERFORM add_job('ops.apply_retention', '1 day'::interval); END $$;

-- How long is for the owner to say, and for who may act as it (migrator).
GRANT SELECT ON ops.retention TO auditor, exporter;
