-- Tables in months: rows that found none, and where the months end.
SELECT table_name AS table, stray_rows AS stray, extract(epoch FROM covered_until) AS until
FROM ops.partition_state()
ORDER BY table_name
LIMIT 100
