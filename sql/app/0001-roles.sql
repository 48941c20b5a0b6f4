-- Roles, schemas, and who owns what. Roles belong to the whole cluster: the deploy declares them (GROUPS in
-- ops/model/migrations.py); this makes those that are missing, so that the database can be made on any server. No login
-- role is granted anything here: who is a member of which is the inventory's to say.
-- no rollback: roles belong to the whole cluster, and other databases may lean on them

CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'app_user', 'admin_role', 'auditor', 'analyst', 'exporter', 'migrator', 'view_owner', 'audit_owner'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', wanted);
        END IF;
    END LOOP;
END
$$;

COMMENT ON ROLE app_user IS 'The application: sees the rows of the user in app.current_user_id, and no others';
COMMENT ON ROLE admin_role IS 'The admin panel: all rows; no schema, no audit trail';
COMMENT ON ROLE auditor IS 'Reads everything, the audit trail too; writes nothing';
COMMENT ON ROLE analyst IS 'Reads what names no person';
COMMENT ON ROLE exporter IS 'Reads the state of views and partitions; no rows of anybody';
COMMENT ON ROLE migrator IS 'Owns the tables; new ones are made as this role';
COMMENT ON ROLE view_owner IS 'Owns views and functions that look further than who asks; nobody is a member';
COMMENT ON ROLE audit_owner IS 'Owns the audit trail; nobody is a member';

-- The owner of a schema may drop whatever is in it, and public belongs to the owner of the database, which is the
-- application's login in some inventories.
ALTER SCHEMA public OWNER TO CURRENT_USER;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO app_user, admin_role, auditor, analyst, exporter, view_owner, audit_owner;
GRANT USAGE, CREATE ON SCHEMA public TO migrator;
-- Extensions that exporters ask, such as pg_stat_statements, are in there too.
GRANT USAGE ON SCHEMA public TO pg_monitor;

CREATE SCHEMA ops;
GRANT USAGE ON SCHEMA ops TO admin_role, auditor, exporter;
GRANT USAGE, CREATE ON SCHEMA ops TO migrator;
COMMENT ON SCHEMA ops IS 'What the platform itself keeps in this database';

ALTER DEFAULT PRIVILEGES FOR ROLE migrator REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE view_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE audit_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
