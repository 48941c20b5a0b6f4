-- How long ago each continuous aggregate should have had more than it has. Materialized is what its watermark says. A
-- bucket that is not over is no lag, nor is what the policy leaves to the next run: its end_offset and its interval.
-- One that never was materialized begins with time itself; one over numbers instead of time has no age.
SELECT
    format('%s.%s', view_schema, view_name) AS aggregate,
    greatest(0, extract(epoch FROM
        clock_timestamp() - _timescaledb_functions.to_timestamp(watermark) - bucket_width::interval
        - coalesce(job.schedule_interval + (job.config ->> 'end_offset')::interval, interval '0')
    )) AS lag
FROM timescaledb_information.continuous_aggregates
    JOIN _timescaledb_catalog.hypertable
        ON schema_name = materialization_hypertable_schema AND table_name = materialization_hypertable_name
    JOIN _timescaledb_catalog.continuous_aggs_watermark AS made ON made.mat_hypertable_id = hypertable.id
    JOIN _timescaledb_catalog.continuous_aggs_bucket_function AS bucket ON bucket.mat_hypertable_id = hypertable.id
    LEFT JOIN timescaledb_information.jobs AS job
        ON job.proc_name = 'policy_refresh_continuous_aggregate' AND job.config ->> 'mat_hypertable_id' = hypertable.id::text
WHERE _timescaledb_functions.to_timestamp(watermark) > '4713-01-01 BC' AND EXISTS (
    SELECT FROM _timescaledb_catalog.dimension
    WHERE hypertable_id = hypertable.id AND column_type IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
)
ORDER BY 1
LIMIT 200
