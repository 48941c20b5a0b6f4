-- What `ops failover check`, exporters and the status page read as `monitor`, beside what pg_monitor may: what the files
-- say of settings. The declaration of each cluster makes the role and says how it logs in; a server without one gets a
-- role that cannot.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor') THEN
        CREATE ROLE monitor NOLOGIN;
    END IF;
END
$$;

GRANT pg_monitor TO monitor;
GRANT SELECT ON pg_catalog.pg_file_settings TO monitor;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_show_all_file_settings() TO monitor;
