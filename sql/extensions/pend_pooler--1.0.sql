-- The role `pgbouncer` is declared by the deploy: it logs in with a certificate, owns nothing, and may do only this.

CREATE SCHEMA pooler;
REVOKE ALL ON SCHEMA pooler FROM PUBLIC;
GRANT USAGE ON SCHEMA pooler TO pgbouncer;
COMMENT ON SCHEMA pooler IS 'For PgBouncer alone';

-- Security definer: it reads pg_authid, which only superusers can. The empty search_path keeps it from taking
-- anybody else's table or operator for the one it means.
CREATE FUNCTION pooler.verifier(login text, OUT role name, OUT verifier text) RETURNS SETOF record
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = ''
AS $$
    SELECT rolname, rolpassword
    FROM pg_catalog.pg_authid
    WHERE rolname = login
      AND rolcanlogin
      AND NOT (rolsuper OR rolreplication OR rolbypassrls OR rolcreaterole)
      AND rolpassword LIKE 'SCRAM-SHA-256$%'
      AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())
$$;
REVOKE ALL ON FUNCTION pooler.verifier(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pooler.verifier(text) TO pgbouncer;
COMMENT ON FUNCTION pooler.verifier(text) IS 'The SCRAM verifier of an application''s role; none of a privileged one';
