-- Totals of each statement, without its text, which would be read from a file. Ours are left out.
SELECT
    datname AS database, rolname AS role, dbid, userid, queryid,
    sum(calls)::float8 AS calls, sum(total_exec_time) / 1000 AS seconds, sum(rows)::float8 AS rows
FROM {schema}.pg_stat_statements(false) AS statement
    JOIN pg_database ON pg_database.oid = dbid
    JOIN pg_roles ON pg_roles.oid = userid
WHERE rolname <> current_user
GROUP BY datname, rolname, dbid, userid, queryid
