-- Members look at each other as `rewind`, with certificates: before a rolling restart goes on it must see every setting
-- of every member, what their files say, and how far replication is. Patroni makes the role; a server without Patroni
-- has none.

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rewind') THEN
        GRANT pg_monitor TO rewind;
        GRANT SELECT ON pg_catalog.pg_file_settings TO rewind;
        GRANT EXECUTE ON FUNCTION pg_catalog.pg_show_all_file_settings() TO rewind;
    END IF;
END
$$;
