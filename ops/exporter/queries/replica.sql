-- On a replica: whether it streams, and the age of the newest commit that it has. It is 0 only while a primary that
-- was heard of in the last ten seconds has nothing more; a replica that has lost its primary must not look caught up.
SELECT
    streaming,
    greatest(extract(epoch FROM CASE
        WHEN NOT caught_up
            THEN clock_timestamp() - coalesce(pg_last_xact_replay_timestamp(), (pg_control_checkpoint()).checkpoint_time)
        WHEN silence > interval '10 s' THEN silence
        ELSE interval '0'
    END), 0) AS lag
FROM (
    SELECT
        coalesce(bool_or(status = 'streaming'), false) AS streaming,
        coalesce(bool_or(status = 'streaming' AND pg_last_wal_replay_lsn() >= latest_end_lsn), false) AS caught_up,
        clock_timestamp() - max(last_msg_receipt_time) AS silence
    FROM pg_stat_wal_receiver
) AS receiver
