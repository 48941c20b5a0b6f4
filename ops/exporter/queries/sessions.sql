-- Clients by database and by what they do. Ours is left out.
SELECT datname AS database, coalesce(state, 'unknown') AS state, count(*) AS sessions
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND datname IS NOT NULL AND pid <> pg_backend_pid()
GROUP BY datname, state
