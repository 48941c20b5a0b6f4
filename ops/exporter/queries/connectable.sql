-- Databases that we may look into.
SELECT datname AS database
FROM pg_database
WHERE datallowconn AND NOT datistemplate AND has_database_privilege(oid, 'CONNECT')
ORDER BY datname
LIMIT 200
