-- Slots and the WAL that each holds back. Temporary ones are gone with their session, and named after its process.
SELECT
    slot_name AS slot,
    active,
    greatest(pg_wal_lsn_diff(here, restart_lsn), 0) AS retained,
    safe_wal_size AS safe
FROM
    pg_replication_slots,
    (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END) AS position (here)
WHERE NOT temporary
ORDER BY slot_name
LIMIT 100
