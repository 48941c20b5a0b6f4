-- The heartbeat is contiguous in its ids, and each row was committed after the one before.
-- needs: ops.heartbeat
--
-- A clock that was set back shows here too: recovery to a time would then be ambiguous.
-- Commit times are forgotten when their transaction ids are frozen; such rows are compared by id only.
SELECT format('row %s follows row %s', id, previous_id) || CASE
           WHEN id <> previous_id + 1 THEN ''
           ELSE format(', and was committed at %s, before its %s', committed_at, previous_committed_at)
       END AS violation
FROM (
    SELECT id,
           pg_xact_commit_timestamp(xmin) AS committed_at,
           lag(id) OVER rows AS previous_id,
           lag(pg_xact_commit_timestamp(xmin)) OVER rows AS previous_committed_at
    FROM ops.heartbeat
    WINDOW rows AS (ORDER BY id)
) AS beats
WHERE id <> previous_id + 1
   OR committed_at < previous_committed_at
ORDER BY id;
