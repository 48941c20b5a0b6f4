-- What tables and policies below share: whose turn it is, when a row was changed, and months of tables that only grow.

SET LOCAL ROLE migrator;

-- NULL where the setting is missing or empty: a comparison with it is never true, so that a policy denies.
CREATE FUNCTION public.app_current_user_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('app.current_user_id', true), '')::uuid $$;
COMMENT ON FUNCTION public.app_current_user_id() IS 'The user whom this transaction serves; NULL where none is set';
GRANT EXECUTE ON FUNCTION public.app_current_user_id() TO app_user, admin_role, auditor, analyst, view_owner, audit_owner;

CREATE FUNCTION ops.set_updated_at() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION ops.set_updated_at() IS 'Trigger: updated_at is when the transaction that changed the row began';

CREATE FUNCTION ops.set_last_updated() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.last_updated := now();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION ops.set_last_updated() IS 'Trigger: as ops.set_updated_at, for tables that call the column last_updated';

-- Months are those of UTC. What the default partition has caught of a month moves into its new partition, under a
-- lock that is waited for shortly: the function is called again anyway.
CREATE FUNCTION ops.ensure_partitions(ahead integer DEFAULT 3, at timestamptz DEFAULT now()) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    parent record;
    first  timestamptz;
    next   timestamptz;
    name   text;
BEGIN
    FOR parent IN
        SELECT c.relname AS name, d.relname AS spare, a.attname AS column
        FROM pg_partitioned_table p
        JOIN pg_class c ON c.oid = p.partrelid
        JOIN pg_class d ON d.oid = p.partdefid
        JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
        WHERE c.relnamespace = 'public'::regnamespace AND p.partstrat = 'r'
        ORDER BY c.relname
    LOOP
        FOR month IN 0..ahead LOOP
            first := (date_trunc('month', at AT TIME ZONE 'UTC') + month * interval '1 month') AT TIME ZONE 'UTC';
            next := (date_trunc('month', at AT TIME ZONE 'UTC') + (month + 1) * interval '1 month') AT TIME ZONE 'UTC';
            name := format('%s_%s', parent.name, to_char(first AT TIME ZONE 'UTC', 'YYYY_MM'));
            CONTINUE WHEN to_regclass(format('public.%I', name)) IS NOT NULL;
            EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', parent.spare);
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I)', name || '_moving', parent.name);
            EXECUTE format(
                'WITH moved AS (DELETE FROM public.%I WHERE %I >= $1 AND %I < $2 RETURNING *)'
                ' INSERT INTO public.%I SELECT * FROM moved',
                parent.spare, parent.column, parent.column, name || '_moving'
            ) USING first, next;
            -- Attached empty: what is attached with rows in it has its foreign keys checked by a query as the owner, who
            -- sees no row of a table with forced row security. Rows that are inserted are checked past that.
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', name, parent.name);
            EXECUTE format(
                'ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                parent.name, name, first, next
            );
            EXECUTE format('INSERT INTO public.%I SELECT * FROM public.%I', name, name || '_moving');
            EXECUTE format('DROP TABLE public.%I', name || '_moving');
            RETURN NEXT name;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION ops.ensure_partitions(integer, timestamptz) IS
    'Makes the monthly partitions that are missing, from the month of `at` to so many months ahead; the names of those made';

CREATE FUNCTION ops.partition_state() RETURNS TABLE (table_name text, stray_rows bigint, covered_until timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    spare name;
BEGIN
    FOR table_name, spare IN
        SELECT c.relname, d.relname
        FROM pg_partitioned_table p
        JOIN pg_class c ON c.oid = p.partrelid
        JOIN pg_class d ON d.oid = p.partdefid
        WHERE c.relnamespace = 'public'::regnamespace
        ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT count(*) FROM public.%I', spare) INTO stray_rows;
        -- The bounds are text in the catalogue: FOR VALUES FROM ('…') TO ('…').
        SELECT max(substring(pg_get_expr(child.relpartbound, child.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz)
        INTO covered_until
        FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = format('public.%I', table_name)::regclass;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION ops.partition_state() IS
    'For each partitioned table: rows that its default partition has caught (should be none), and where its months end';
GRANT EXECUTE ON FUNCTION ops.partition_state() TO exporter, auditor, admin_role;
