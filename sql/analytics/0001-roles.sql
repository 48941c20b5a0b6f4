-- Roles, schemas, and who owns what. Roles belong to the whole cluster: the deploy declares them (GROUPS in
-- ops/model/migrations.py); this makes those that are missing. Who is a member of which is the inventory's to say.
--
-- TimescaleDB runs the policies of a table as its owner, and only as one that may log in. So the owner is not `migrator`,
-- who may not, and this one has the attribute, no password, and no line in pg_hba.conf.
-- no rollback: roles belong to the whole cluster, and other databases may lean on them

CREATE EXTENSION IF NOT EXISTS timescaledb;

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['analytics_app', 'auditor', 'analyst', 'exporter', 'migrator', 'analytics_owner'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', wanted);
        END IF;
    END LOOP;
    IF NOT (SELECT rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = 'analytics_owner') THEN
        ALTER ROLE analytics_owner LOGIN;
    END IF;
END
$$;

COMMENT ON ROLE analytics_app IS 'What fills the analytics database: adds rows, changes none but those of tokens';
COMMENT ON ROLE auditor IS 'Reads everything, the audit trail too; writes nothing';
COMMENT ON ROLE analyst IS 'Reads what names no person';
COMMENT ON ROLE exporter IS 'Reads the state of views and partitions; no rows of anybody';
COMMENT ON ROLE migrator IS 'Owns the tables; new ones are made as this role';
COMMENT ON ROLE analytics_owner IS 'Owns the analytics tables and runs their policies; nobody logs in as it';

GRANT analytics_owner TO migrator;

ALTER SCHEMA public OWNER TO CURRENT_USER;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO analytics_app, auditor, analyst, exporter, pg_monitor;
GRANT USAGE, CREATE ON SCHEMA public TO analytics_owner;

CREATE SCHEMA ops;
GRANT USAGE ON SCHEMA ops TO auditor, exporter;
GRANT USAGE, CREATE ON SCHEMA ops TO analytics_owner;
COMMENT ON SCHEMA ops IS 'What the platform itself keeps in this database';

ALTER DEFAULT PRIVILEGES FOR ROLE analytics_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
