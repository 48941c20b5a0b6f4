-- Every row that a foreign key refers to is there.
--
-- A restore that lost a page, or mixed two moments, breaks references between tables long before anybody
-- notices. Left out are keys that PostgreSQL itself was told not to trust (NOT VALID), the copies that partitions
-- have, and unlogged tables, which no recovery brings back.
SELECT format('%s: %s of the rows in %s refer to no row in %s',
              name, orphans, referring::regclass, referred::regclass) AS violation
FROM (
    SELECT k.conname AS name,
           k.conrelid AS referring,
           k.confrelid AS referred,
           -- query_to_xml runs a statement that is put together from the catalogue, in plain SQL and read-only.
           (xpath('/row/orphans/text()', query_to_xml(
               format('SELECT count(*) AS orphans FROM %s AS r WHERE %s AND NOT EXISTS (SELECT FROM %s AS d WHERE %s)',
                      k.conrelid::regclass, c.filled, k.confrelid::regclass, c.matches),
               false, true, '')))[1]::text::bigint AS orphans
    FROM pg_constraint AS k
    CROSS JOIN LATERAL (
        SELECT string_agg(format('r.%I IS NOT NULL', referring.attname), ' AND ') AS filled,
               string_agg(format('r.%I = d.%I', referring.attname, referred.attname), ' AND ') AS matches
        FROM unnest(k.conkey, k.confkey) AS key (referring, referred)
        JOIN pg_attribute AS referring ON (referring.attrelid, referring.attnum) = (k.conrelid, key.referring)
        JOIN pg_attribute AS referred ON (referred.attrelid, referred.attnum) = (k.confrelid, key.referred)
    ) AS c
    WHERE k.contype = 'f' AND k.convalidated AND k.conparentid = 0
      AND (SELECT relpersistence FROM pg_class WHERE oid = k.conrelid) = 'p'
) AS keys
WHERE orphans > 0
ORDER BY name;
