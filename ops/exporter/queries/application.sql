-- What there is in this database of what its migrations make for monitoring, and may be read: by schema and name. Only
-- of schemas that are a superuser's or audit_owner's, as migrations leave them: whoever else owns one could have anything
-- run here as us.
SELECT format('%s.%s', nspname, name) AS name
FROM (
    SELECT relnamespace AS schema, relname AS name, has_table_privilege(oid, 'SELECT') AS readable
    FROM pg_class
    WHERE relname IN ('_yoyo_migration', '_yoyo_log', 'view_refresh', 'head')
    UNION ALL
    SELECT pronamespace, proname, has_function_privilege(oid, 'EXECUTE')
    FROM pg_proc
    WHERE proname = 'partition_state'
) AS found
    JOIN pg_namespace ON pg_namespace.oid = schema
    JOIN pg_roles ON pg_roles.oid = nspowner
WHERE readable
    AND (rolsuper OR rolname = 'audit_owner')
    AND nspname IN ('public', 'ops', 'audit')
    AND has_schema_privilege(schema, 'USAGE')
