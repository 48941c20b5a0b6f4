-- What monitoring sees of migrations: which were applied, and the digests of their files. The tables are yoyo's; they are
-- there before the first file is applied.

GRANT SELECT ON public._yoyo_migration, public._yoyo_log TO exporter;
