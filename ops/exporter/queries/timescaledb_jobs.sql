-- Background jobs under the names that TimescaleDB gives them, such as "Columnstore Policy [1001]".
SELECT
    job.application_name AS task,
    stats.total_failures AS failures,
    CASE WHEN isfinite(stats.last_successful_finish) THEN extract(epoch FROM stats.last_successful_finish) END AS succeeded,
    stats.last_run_status = 'Failed' AS failing
FROM timescaledb_information.jobs AS job
    JOIN timescaledb_information.job_stats AS stats USING (job_id)
WHERE job.scheduled
ORDER BY job_id
LIMIT 200
