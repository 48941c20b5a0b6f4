-- Slow where a database has many files.
SELECT datname AS database, pg_database_size(oid) AS size
FROM pg_database
WHERE datallowconn AND NOT datistemplate
