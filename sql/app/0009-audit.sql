-- The audit trail: every change of a sensitive table, by whom, from what to what; added to, and never changed.
-- Why it is chained as it is: docs/guides/databases.md.
-- no rollback: the audit trail is evidence

CREATE SCHEMA audit AUTHORIZATION audit_owner;
GRANT USAGE ON SCHEMA audit TO auditor, exporter;
COMMENT ON SCHEMA audit IS 'What keeps audit_trail';
GRANT CREATE ON SCHEMA public TO audit_owner;
SET LOCAL ROLE audit_owner;

-- Not partitioned: nothing of it is ever dropped, and a chain that cannot fork needs its positions unique for ever.
CREATE TABLE public.audit_trail (
    id             uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    table_name     varchar(50)  NOT NULL,
    record_id      varchar(255) NOT NULL,
    action         varchar(20)  NOT NULL CHECK (action IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')),
    old_values     jsonb,
    new_values     jsonb,
    changed_by     uuid,
    changed_at     timestamptz  NOT NULL DEFAULT clock_timestamp(),
    ip_address     inet,
    user_agent     text,
    user_id        uuid,
    session_role   name         NOT NULL,
    effective_role name         NOT NULL,
    transaction_id xid8         NOT NULL DEFAULT pg_current_xact_id(),
    chain          smallint     NOT NULL,
    chain_position bigint       NOT NULL CHECK (chain_position > 0),
    hash           bytea        NOT NULL CHECK (length(hash) = 32),
    UNIQUE (chain, chain_position)
);
COMMENT ON TABLE public.audit_trail IS 'Every change of a sensitive table; append-only, and chained by hash';
COMMENT ON COLUMN public.audit_trail.id IS 'Key';
COMMENT ON COLUMN public.audit_trail.table_name IS 'What was changed';
COMMENT ON COLUMN public.audit_trail.record_id IS 'The key of the row; * for TRUNCATE';
COMMENT ON COLUMN public.audit_trail.action IS 'INSERT, UPDATE, DELETE or TRUNCATE';
COMMENT ON COLUMN public.audit_trail.old_values IS 'The row as it was, what audit.masked_columns lists masked';
COMMENT ON COLUMN public.audit_trail.new_values IS 'The row as it is now, likewise';
COMMENT ON COLUMN public.audit_trail.changed_by IS 'app.current_admin_id, of admin_users; NULL: no admin was set';
COMMENT ON COLUMN public.audit_trail.changed_at IS 'When';
COMMENT ON COLUMN public.audit_trail.ip_address IS 'app.client_ip, where the application gives it';
COMMENT ON COLUMN public.audit_trail.user_agent IS 'app.user_agent, where the application gives it';
COMMENT ON COLUMN public.audit_trail.user_id IS 'app.current_user_id; NULL: no user was set';
COMMENT ON COLUMN public.audit_trail.session_role IS 'The role that logged in';
COMMENT ON COLUMN public.audit_trail.effective_role IS 'The role that it acted as, by SET ROLE';
COMMENT ON COLUMN public.audit_trail.transaction_id IS 'The transaction';
COMMENT ON COLUMN public.audit_trail.chain IS 'Which chain the record is a link of';
COMMENT ON COLUMN public.audit_trail.chain_position IS 'Where in it, from 1, without a hole';
COMMENT ON COLUMN public.audit_trail.hash IS 'SHA-256 of the hash before it and of audit.payload of this record';

CREATE INDEX idx_audit_trail_record ON public.audit_trail (table_name, record_id, changed_at);
CREATE INDEX idx_audit_trail_changed_by ON public.audit_trail (changed_by, changed_at) WHERE changed_by IS NOT NULL;
CREATE INDEX idx_audit_trail_changed_at ON public.audit_trail (changed_at);
CREATE INDEX idx_audit_trail_user_id ON public.audit_trail (user_id, changed_at) WHERE user_id IS NOT NULL;

-- More chains than a server has connections (max_connections is 100): a transaction always finds a free one.
CREATE TABLE audit.head (
    chain          smallint PRIMARY KEY,
    chain_position bigint   NOT NULL DEFAULT 0,
    hash           bytea    NOT NULL DEFAULT '\x'
) WITH (fillfactor = 50);
COMMENT ON TABLE audit.head IS 'The last link of each chain; locked by the transaction that is adding to it';
COMMENT ON COLUMN audit.head.chain IS 'Which chain';
COMMENT ON COLUMN audit.head.chain_position IS 'Position of its last record; 0: none yet';
COMMENT ON COLUMN audit.head.hash IS 'Hash of its last record; empty: none yet';
INSERT INTO audit.head (chain) SELECT generate_series(0, 127);

CREATE TABLE audit.masked_columns (
    table_name  name NOT NULL,
    column_name name NOT NULL,
    PRIMARY KEY (table_name, column_name)
);
COMMENT ON TABLE audit.masked_columns IS 'Secrets, and what a person has a right to see forgotten: the trail shows only that it changed';
COMMENT ON COLUMN audit.masked_columns.table_name IS 'In which table';
COMMENT ON COLUMN audit.masked_columns.column_name IS 'Which column';
INSERT INTO audit.masked_columns (table_name, column_name) VALUES
    ('users', 'phone_hash'),
    ('user_profiles', 'phone_number_masked'),
    ('user_profiles', 'registration_ip'),
    ('user_profiles', 'device_fingerprints'),
    ('user_profiles', 'metadata'),
    ('kyc_applications', 'metadata'),
    ('kyc_documents', 'original_filename'),
    ('kyc_documents', 'stored_filename'),
    ('kyc_documents', 'file_path'),
    ('kyc_documents', 'metadata'),
    ('investment_agreements', 'signature'),
    ('investment_agreements', 'ip_address'),
    ('admin_users', 'password_hash'),
    ('admin_sessions', 'session_token');

-- The functions from here to audit.record run inside of it only, and so with its search_path. In PL/pgSQL, because a
-- session plans them once: a function in SQL that is not inlined is planned anew for each statement.
CREATE FUNCTION audit.mask(old_or_new jsonb, other jsonb, masked name[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY masked LOOP
        IF old_or_new ->> name IS NOT NULL THEN
            old_or_new := old_or_new || jsonb_build_object(
                name, CASE WHEN other IS NULL OR other -> name = old_or_new -> name THEN '***' ELSE '*** (changed)' END);
        END IF;
    END LOOP;
    RETURN old_or_new;
END
$$;
COMMENT ON FUNCTION audit.mask(jsonb, jsonb, name[]) IS 'A row without its masked values; `other` is the same row before or after';

-- What the hash covers, in a form that no setting of a session changes. `ops audit verify` has its own copy of this.
CREATE FUNCTION audit.payload(entry public.audit_trail) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT entry.chain || ':' || entry.chain_position || ':' || jsonb_build_array(
        entry.id, entry.table_name, entry.record_id, entry.action, entry.old_values, entry.new_values,
        entry.changed_by, (extract(epoch FROM entry.changed_at) * 1000000)::bigint, entry.ip_address::text,
        entry.user_agent, entry.user_id, entry.session_role, entry.effective_role, entry.transaction_id::text
    )::text
$$;
COMMENT ON FUNCTION audit.payload(public.audit_trail) IS 'What the hash of a record covers beside the hash before it';

CREATE FUNCTION audit.link(state bytea, before bytea, payload text) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN sha256(coalesce(state, before) || convert_to(payload, 'UTF8'));
END
$$;
COMMENT ON FUNCTION audit.link(bytea, bytea, text) IS 'The hash of a record; `before` is the one before the first';
CREATE AGGREGATE audit.chained(bytea, text) (SFUNC = audit.link, STYPE = bytea);
COMMENT ON AGGREGATE audit.chained(bytea, text) IS 'Over a window: the hash of each record, beginning with the hash before the first';

-- Our own chain by preference: so that one that another transaction has just moved is rarely met, which would be a
-- serialization failure under REPEATABLE READ. Waits only when every chain is being added to.
CREATE FUNCTION audit.take_chain() RETURNS audit.head
LANGUAGE plpgsql
AS $$
DECLARE
    ours  CONSTANT smallint := pg_backend_pid() % 128;
    found audit.head;
BEGIN
    SELECT * INTO found FROM audit.head WHERE chain = ours FOR UPDATE SKIP LOCKED;
    IF found.chain IS NULL THEN
        SELECT * INTO found FROM audit.head LIMIT 1 FOR UPDATE SKIP LOCKED;
    END IF;
    IF found.chain IS NULL THEN
        SELECT * INTO STRICT found FROM audit.head WHERE chain = ours FOR UPDATE;
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION audit.take_chain() IS 'A chain that is this transaction''s until it ends';

CREATE FUNCTION audit.append(change_of name, change text, keys text[], olds jsonb[], news jsonb[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    last       CONSTANT audit.head := audit.take_chain();
    admin      CONSTANT uuid := nullif(current_setting('app.current_admin_id', true), '');
    for_user   CONSTANT uuid := nullif(current_setting('app.current_user_id', true), '');
    client     CONSTANT inet := nullif(current_setting('app.client_ip', true), '');
    agent      CONSTANT text := nullif(current_setting('app.user_agent', true), '');
    -- current_user is the owner of audit.record; who called it stands in the setting that SET ROLE makes.
    acting     CONSTANT name := coalesce(nullif(current_setting('role'), 'none'), session_user);
BEGIN
    WITH entry AS MATERIALIZED (
        -- In the order of the table's columns, all but the hash.
        SELECT gen_random_uuid() AS id, change_of, c.key, change, c.old, c.new, admin, clock_timestamp(), client, agent,
               for_user, session_user, acting, pg_current_xact_id(), last.chain, last.chain_position + c.n AS place
        FROM unnest(keys, olds, news) WITH ORDINALITY AS c (key, old, new, n)
    ), added AS (
        INSERT INTO public.audit_trail
        SELECT e.*, audit.chained(last.hash, audit.payload(ROW(e.*, NULL)::public.audit_trail)) OVER (ORDER BY e.place)
        FROM entry AS e
        RETURNING chain_position, hash
    )
    UPDATE audit.head AS h SET chain_position = a.chain_position, hash = a.hash
    FROM added AS a
    WHERE h.chain = last.chain AND a.chain_position = last.chain_position + cardinality(keys);
END
$$;
COMMENT ON FUNCTION audit.append(name, text, text[], jsonb[], jsonb[]) IS 'Adds records to the trail: their keys, and the rows before and after';

-- Once a statement, not once a row: the head of a chain is moved once for a thousand rows.
CREATE FUNCTION audit.record() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key    CONSTANT text := TG_ARGV[0];
    masked name[];
    keys   text[];
    olds   jsonb[];
    news   jsonb[];
BEGIN
    SELECT coalesce(array_agg(column_name), '{}') INTO masked FROM audit.masked_columns WHERE table_name = TG_TABLE_NAME;
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(n.v ->> key), array_agg(audit.mask(n.v, NULL, masked)) INTO keys, news
        FROM (SELECT to_jsonb(r) AS v FROM new_rows AS r) AS n;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(o.v ->> key), array_agg(audit.mask(o.v, NULL, masked)) INTO keys, olds
        FROM (SELECT to_jsonb(r) AS v FROM old_rows AS r) AS o;
    ELSIF TG_OP = 'UPDATE' THEN
        -- A row whose key itself was changed shows as two records: one with the old values, one with the new.
        SELECT array_agg(coalesce(n.v, o.v) ->> key), array_agg(audit.mask(o.v, n.v, masked)),
               array_agg(audit.mask(n.v, o.v, masked)) INTO keys, olds, news
        FROM (SELECT to_jsonb(r) AS v FROM old_rows AS r) AS o
        FULL JOIN (SELECT to_jsonb(r) AS v FROM new_rows AS r) AS n ON o.v ->> key = n.v ->> key;
    ELSE
        keys := ARRAY['*'];
    END IF;
    IF keys IS NOT NULL THEN
        PERFORM audit.append(TG_TABLE_NAME, TG_OP, keys, olds, news);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION audit.record() IS 'Trigger: puts what a statement has changed into the audit trail; its argument is the key';

CREATE FUNCTION audit.refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% of %.% is refused: the audit trail is only added to', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege', HINT = 'Corrections are new records.';
END
$$;
COMMENT ON FUNCTION audit.refuse() IS 'Trigger: nothing of the audit trail is changed or removed, by nobody';

CREATE TRIGGER audit_trail_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_trail
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse();
CREATE TRIGGER head_stays BEFORE INSERT OR DELETE OR TRUNCATE ON audit.head
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse();
-- ALWAYS: session_replication_role does not get around them.
ALTER TABLE public.audit_trail ENABLE ALWAYS TRIGGER audit_trail_append_only;
ALTER TABLE audit.head ENABLE ALWAYS TRIGGER head_stays;
REVOKE UPDATE, DELETE, TRUNCATE ON public.audit_trail FROM audit_owner;
GRANT SELECT ON public.audit_trail, audit.head, audit.masked_columns TO auditor;
GRANT SELECT ON audit.head TO exporter;
GRANT EXECUTE ON FUNCTION audit.payload(public.audit_trail) TO auditor;

RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM audit_owner;

-- The sensitive tables, each with its key. The superuser makes these triggers, so audit.record is granted to nobody.
DO $$
DECLARE
    watched record;
BEGIN
    FOR watched IN SELECT * FROM (VALUES
        ('user_tiers', 'tier'), ('users', 'id'), ('user_profiles', 'user_id'), ('kyc_applications', 'id'),
        ('kyc_documents', 'id'), ('assets', 'id'), ('asset_details', 'asset_id'), ('investments', 'id'),
        ('transactions', 'id'), ('investment_agreements', 'id'), ('admin_users', 'id'), ('admin_sessions', 'id'),
        ('admin_permissions', 'id')
    ) AS sensitive (name, key) LOOP
        EXECUTE format($trigger$
            CREATE TRIGGER %1$s_audit_insert AFTER INSERT ON public.%1$I REFERENCING NEW TABLE AS new_rows
                FOR EACH STATEMENT EXECUTE FUNCTION audit.record(%2$L);
            CREATE TRIGGER %1$s_audit_update AFTER UPDATE ON public.%1$I
                REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
                FOR EACH STATEMENT EXECUTE FUNCTION audit.record(%2$L);
            CREATE TRIGGER %1$s_audit_delete AFTER DELETE ON public.%1$I REFERENCING OLD TABLE AS old_rows
                FOR EACH STATEMENT EXECUTE FUNCTION audit.record(%2$L);
            CREATE TRIGGER %1$s_audit_truncate AFTER TRUNCATE ON public.%1$I
                FOR EACH STATEMENT EXECUTE FUNCTION audit.record(%2$L);
            ALTER TABLE public.%1$I ENABLE ALWAYS TRIGGER %1$s_audit_insert;
            ALTER TABLE public.%1$I ENABLE ALWAYS TRIGGER %1$s_audit_update;
            ALTER TABLE public.%1$I ENABLE ALWAYS TRIGGER %1$s_audit_delete;
            ALTER TABLE public.%1$I ENABLE ALWAYS TRIGGER %1$s_audit_truncate;
        $trigger$, watched.name, watched.key);
    END LOOP;
END
$$;
