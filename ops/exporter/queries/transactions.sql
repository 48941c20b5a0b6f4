-- By database: the oldest transaction, the oldest session that sits in one, and who waits for a lock, and since when.
-- pg_locks is costly: it is read only while somebody waits.
WITH
    client AS MATERIALIZED (
        SELECT * FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND datid IS NOT NULL AND pid <> pg_backend_pid()
    ),
    waiting AS MATERIALIZED (
        SELECT pid, min(waitstart) AS since
        FROM pg_locks
        WHERE NOT granted AND EXISTS (SELECT FROM client WHERE wait_event_type = 'Lock')
        GROUP BY pid
    )
SELECT
    database.datname AS database,
    coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0) AS oldest,
    coalesce(extract(epoch FROM clock_timestamp() - min(state_change) FILTER (WHERE state LIKE 'idle in %')), 0) AS idle,
    count(waiting.pid) AS blocked,
    coalesce(extract(epoch FROM clock_timestamp() - min(waiting.since)), 0) AS blocked_oldest
FROM pg_database AS database
    LEFT JOIN client ON client.datid = database.oid
    LEFT JOIN waiting ON waiting.pid = client.pid
WHERE database.datallowconn AND NOT database.datistemplate
GROUP BY database.datname
