-- Where an extension's objects lie in this database; no row where it is not there.
SELECT quote_ident(nspname) AS schema, extversion AS version
FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname = %(extension)s
