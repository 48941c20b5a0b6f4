DO $$
BEGIN
    PERFORM public.delete_job(job_id) FROM timescaledb_information.jobs
    WHERE proc_schema = 'ops' AND proc_name = 'apply_retention';
END
$$;
DROP PROCEDURE ops.apply_retention(integer, jsonb);
DROP FUNCTION ops.not_aggregated(text, timestamptz);
DROP TABLE ops.retention;
