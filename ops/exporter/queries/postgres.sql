-- What kind of server this is. A role's own default of read-only (ours has one) says nothing about the server.
SELECT
    recovery AS in_recovery,
    NOT recovery AND NOT EXISTS (
        SELECT FROM pg_settings
        WHERE name = 'default_transaction_read_only'
          AND setting = 'on'
          AND source NOT IN ('client', 'user', 'database user', 'database')
    ) AS writable,
    CASE
        WHEN NOT recovery THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
        ELSE coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (pg_control_checkpoint()).timeline_id)
    END AS timeline,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS connections_limit,
    (SELECT count(*) FROM pg_settings WHERE pending_restart) AS pending_restart
FROM pg_is_in_recovery() AS recovery
