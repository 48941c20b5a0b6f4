-- Hypertables with a compression policy: chunks that it should have compressed by now, and what compressing saved.
SELECT
    format('%s.%s', job.hypertable_schema, job.hypertable_name) AS hypertable,
    (
        SELECT count(*)
        FROM timescaledb_information.chunks AS chunk
        WHERE (chunk.hypertable_schema, chunk.hypertable_name) = (job.hypertable_schema, job.hypertable_name)
          AND NOT chunk.is_compressed
          AND chunk.range_end < clock_timestamp() - (job.config ->> 'compress_after')::interval
    ) AS uncompressed,
    stats.before_compression_total_bytes::float8 / nullif(stats.after_compression_total_bytes, 0) AS ratio
FROM timescaledb_information.jobs AS job
    CROSS JOIN LATERAL {schema}.hypertable_compression_stats(
        format('%I.%I', job.hypertable_schema, job.hypertable_name)::regclass
    ) AS stats
WHERE job.proc_name IN ('policy_compression', 'policy_columnstore')
  AND job.config ->> 'compress_after' !~ '^\d+$'  -- over numbers instead of time: nothing is due by the clock
ORDER BY 1
LIMIT 200
