-- The role `monitor` is declared by the deploy: it logs in with a certificate, is a member of pg_monitor, and may do
-- only this beyond it.

CREATE SCHEMA monitor;
REVOKE ALL ON SCHEMA monitor FROM PUBLIC;
GRANT USAGE ON SCHEMA monitor TO monitor;
COMMENT ON SCHEMA monitor IS 'For the exporter alone';

-- Security definer: what a sequence has given out is told only to those who may use it or read it. How full it is says
-- nothing about what is in a table. A sequence that begins anew when it is used up is no trouble and is left out.
CREATE FUNCTION monitor.sequences(OUT sequence text, OUT used double precision) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT
        pg_catalog.format('%s.%s', schemaname, sequencename),
        -- In float8: the whole range of a bigint does not fit into a bigint.
        CASE
            WHEN increment_by > 0 THEN (last_value::float8 - min_value) / (max_value::float8 - min_value)
            ELSE (max_value::float8 - last_value) / (max_value::float8 - min_value)
        END
    FROM pg_catalog.pg_sequences
    WHERE last_value IS NOT NULL AND NOT cycle AND max_value > min_value
$$;
REVOKE ALL ON FUNCTION monitor.sequences() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitor.sequences() TO monitor;
COMMENT ON FUNCTION monitor.sequences() IS 'How much of each sequence is used up, from 0 to 1';
