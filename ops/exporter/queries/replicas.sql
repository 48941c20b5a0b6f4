-- On a primary: its members that stream from it, and who of them a commit may wait for.
SELECT
    application_name AS member,
    max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) AS lag,
    bool_or(state = 'streaming' AND sync_state IN ('sync', 'quorum')) AS synchronous
FROM pg_stat_replication
WHERE application_name = ANY (%(members)s) AND replay_lsn IS NOT NULL
GROUP BY application_name
