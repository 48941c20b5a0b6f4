-- Sessions of ours on this server, this one included.
SELECT count(*) AS connections
FROM pg_stat_activity
WHERE usename = current_user AND application_name = %(application)s
