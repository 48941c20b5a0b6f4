-- The fullest sequences of this database, those that do not begin anew. monitor.sequences() is of the extension
-- pend_monitor: what a sequence has given out is otherwise told only to those who may use it.
SELECT sequence, used
FROM monitor.sequences()
WHERE used > 0.5
ORDER BY used DESC
LIMIT 10
