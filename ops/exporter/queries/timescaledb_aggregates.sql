-- How far behind now each continuous aggregate is materialized. One that never was begins with time
-- itself; one over numbers instead of time has no age.
SELECT
    format('%s.%s', view_schema, view_name) AS aggregate,
    extract(epoch FROM clock_timestamp() - _timescaledb_functions.to_timestamp(watermark)) AS lag
FROM timescaledb_information.continuous_aggregates
    JOIN _timescaledb_catalog.hypertable
        ON schema_name = materialization_hypertable_schema AND table_name = materialization_hypertable_name
    JOIN _timescaledb_catalog.continuous_aggs_watermark ON mat_hypertable_id = hypertable.id
WHERE _timescaledb_functions.to_timestamp(watermark) > '4713-01-01 BC' AND EXISTS (
    SELECT FROM _timescaledb_catalog.dimension
    WHERE hypertable_id = hypertable.id AND column_type IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
)
ORDER BY 1
LIMIT 200
