-- Age against wraparound, of all databases: one that nobody can connect to grows old as well.
SELECT
    datname AS database,
    age(datfrozenxid) AS xid_age,
    mxid_age(datminmxid) AS multixact_age,
    blks_hit::float8 / nullif(blks_hit + blks_read, 0) AS hit_ratio
FROM pg_database LEFT JOIN pg_stat_database USING (datname)
