"""What is in a database, as its catalogue has it: each thing by kind and name, with a definition that can be compared.

Looked at are the schemas that migrations make. Left out are members of extensions, yoyo's own tables, and the monthly
partitions: which of them there are follows from the day, and what they are follows from their parent.
"""

from __future__ import annotations

from typing import LiteralString

from ops.database import timescale
from ops.model.catalogue import Catalogue, Thing
from ops.postgres.connect import Connection

# Every relation, function and schema that counts. `name` is what people read.
_OURS: LiteralString = """
    WITH schema AS (
        SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname IN ('public', 'ops', 'audit')
    ), member AS (
        SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
    ), relation AS (
        SELECT c.*, format('%I.%I', s.nspname, c.relname) AS name
        FROM pg_class AS c JOIN schema AS s ON s.oid = c.relnamespace
        WHERE c.relname !~ '^_?yoyo_'
          AND NOT (c.relispartition AND pg_get_expr(c.relpartbound, c.oid) IS DISTINCT FROM 'DEFAULT')
          AND NOT EXISTS (SELECT FROM member WHERE classid = 'pg_class'::regclass AND objid = c.oid)
    ), readable AS (
        SELECT * FROM relation WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
    ), function AS (
        SELECT p.*, format('%I.%I(%s)', s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name
        FROM pg_proc AS p JOIN schema AS s ON s.oid = p.pronamespace
        WHERE NOT EXISTS (SELECT FROM member WHERE classid = 'pg_proc'::regclass AND objid = p.oid)
    )
"""

# One a kind. A grant is listed for each right and grantee, so that a difference names both.
QUERIES: tuple[tuple[str, LiteralString], ...] = (
    ("schema", "SELECT nspname, 'owner ' || pg_get_userbyid(nspowner) FROM schema"),
    (
        "table",
        """
        SELECT name, concat_ws(', ',
            CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned ' || pg_get_partkeydef(oid)
                         WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE relkind::text END,
            CASE relpersistence WHEN 'u' THEN 'unlogged' END,
            'owner ' || pg_get_userbyid(relowner),
            CASE WHEN relispartition THEN 'partition ' || pg_get_expr(relpartbound, oid) END,
            CASE WHEN relrowsecurity THEN 'row security' END,
            CASE WHEN relforcerowsecurity THEN 'forced' END,
            array_to_string(reloptions, ', '))
        FROM readable
        """,
    ),
    (
        "column",
        """
        SELECT format('%s.%I', name, attname), concat_ws(' ',
            format_type(atttypid, atttypmod),
            CASE WHEN attcollation <> typcollation THEN 'collate ' || attcollation::regcollation::text END,
            CASE WHEN attnotnull THEN 'not null' END,
            CASE WHEN attidentity <> '' THEN 'identity ' || attidentity::text END,
            CASE WHEN attgenerated <> '' THEN 'generated ' || attgenerated::text END,
            'default ' || pg_get_expr(adbin, adrelid))
        FROM readable JOIN pg_attribute AS a ON a.attrelid = readable.oid JOIN pg_type AS t ON t.oid = atttypid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attnum > 0 AND NOT attisdropped
        """,
    ),
    (
        "constraint",
        """
        SELECT format('%I on %s', conname, name),
               pg_get_constraintdef(k.oid) || CASE WHEN convalidated THEN '' ELSE ', not validated' END
        FROM pg_constraint AS k JOIN readable ON readable.oid = conrelid
        WHERE NOT relispartition
        """,
    ),
    (
        "index",
        """
        SELECT i.relname, pg_get_indexdef(i.oid) || CASE WHEN indisvalid THEN '' ELSE ', invalid' END
        FROM pg_index JOIN pg_class AS i ON i.oid = indexrelid JOIN readable ON readable.oid = indrelid
        WHERE NOT readable.relispartition
        """,
    ),
    (
        "trigger",
        """
        SELECT format('%I on %s', tgname, name), pg_get_triggerdef(t.oid)
            || CASE tgenabled WHEN 'O' THEN '' WHEN 'A' THEN ', always' WHEN 'D' THEN ', disabled' ELSE ', replica' END
        FROM pg_trigger AS t JOIN readable ON readable.oid = tgrelid
        WHERE NOT tgisinternal
        """,
    ),
    (
        "policy",
        """
        SELECT format('%I on %s', polname, name), concat_ws(', ',
            CASE WHEN polpermissive THEN 'permissive' ELSE 'restrictive' END,
            'for ' || CASE polcmd WHEN '*' THEN 'all' WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert'
                                  WHEN 'w' THEN 'update' ELSE 'delete' END,
            'to ' || (SELECT string_agg(CASE role WHEN 0 THEN 'public' ELSE pg_get_userbyid(role) END, ' ' ORDER BY 1)
                      FROM unnest(polroles) AS role),
            'using ' || pg_get_expr(polqual, polrelid), 'check ' || pg_get_expr(polwithcheck, polrelid))
        FROM pg_policy JOIN readable ON readable.oid = polrelid
        """,
    ),
    (
        "grant",
        """
        SELECT format('%s on %s to %s', privilege_type, object,
                      CASE grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(grantee) END),
               CASE WHEN bool_or(is_grantable) THEN 'with grant option' ELSE 'plain' END
        FROM (
            SELECT 'schema ' || nspname AS object, a.*
            FROM schema, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) AS a
            UNION ALL
            SELECT name, a.* FROM readable, aclexplode(coalesce(relacl, acldefault('r', relowner))) AS a
            UNION ALL
            SELECT format('%s.%I', name, attname), a.* FROM readable JOIN pg_attribute ON attrelid = readable.oid,
                   aclexplode(attacl) AS a WHERE NOT attisdropped
            UNION ALL
            SELECT name, a.* FROM function, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS a
        ) AS rights
        GROUP BY privilege_type, object, grantee
        """,
    ),
    (
        "function",
        """
        SELECT name, 'owner ' || pg_get_userbyid(proowner) || E'\\n'
            || CASE WHEN prokind = 'a' THEN 'aggregate ' || aggtransfn::text || ' ' || aggtranstype::regtype::text
                    ELSE pg_get_functiondef(function.oid) END
        FROM function LEFT JOIN pg_aggregate ON aggfnoid = function.oid
        """,
    ),
    ("view", "SELECT name, pg_get_viewdef(oid) FROM readable WHERE relkind IN ('v', 'm')"),
    (
        "comment",
        """
        SELECT name, obj_description(oid, 'pg_class') FROM readable WHERE obj_description(oid, 'pg_class') IS NOT NULL
        UNION ALL
        SELECT format('%s.%I', name, attname), col_description(attrelid, attnum)
        FROM readable JOIN pg_attribute ON attrelid = readable.oid WHERE col_description(attrelid, attnum) IS NOT NULL
        UNION ALL
        SELECT name, obj_description(oid, 'pg_proc') FROM function WHERE obj_description(oid, 'pg_proc') IS NOT NULL
        """,
    ),
    (
        "sequence",
        "SELECT name, format('owner %s', pg_get_userbyid(relowner)) FROM relation WHERE relkind = 'S'",
    ),
)

_DEFAULT_RIGHTS: LiteralString = """
    SELECT format('%s by %s', defaclobjtype, pg_get_userbyid(defaclrole)), defaclacl::text FROM pg_default_acl
"""
_EVENT_TRIGGERS: LiteralString = """
    SELECT evtname, concat_ws(' ', evtevent, evtfoid::regprocedure::text, evtenabled::text) FROM pg_event_trigger
    WHERE NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_event_trigger'::regclass AND objid = oid AND deptype = 'e'
    )
"""
_MASKED: LiteralString = "SELECT format('%s.%s', table_name, column_name), 'masked' FROM audit.masked_columns"
# Roles belong to the whole cluster, so that no second database can tell what is wrong with them.
_OWNERS: LiteralString = """
    SELECT r.rolname, concat_ws(', ',
        CASE WHEN rolcanlogin THEN 'may log in' END, CASE WHEN rolsuper THEN 'is a superuser' END,
        CASE WHEN rolbypassrls THEN 'gets around row security' END, CASE WHEN rolcreaterole THEN 'makes roles' END,
        (SELECT 'has the member ' || string_agg(roleid_of.rolname, ' ') FROM pg_auth_members
         JOIN pg_roles AS roleid_of ON roleid_of.oid = member WHERE roleid = r.oid))
    FROM pg_roles AS r WHERE r.rolname IN ('audit_owner', 'view_owner')
"""


def read(connection: Connection) -> Catalogue:
    """Everything that counts in the database of `connection`."""
    found: Catalogue = {}
    # With nothing on the path every name is written out in full, whoever asks.
    connection.execute("SELECT set_config('search_path', '', false)")
    queries = [(kind, _OURS + query) for kind, query in QUERIES]
    queries += [("default right", _DEFAULT_RIGHTS), ("event trigger", _EVENT_TRIGGERS)]
    if connection.execute("SELECT to_regclass('audit.masked_columns')").fetchone() != (None,):
        queries.append(("masked column", _MASKED))
    for kind, query in queries:
        for name, definition in connection.execute(query).fetchall():
            found[Thing(kind, name)] = definition
    if timescale.EXTENSION in extensions(connection):
        timescale.add_to(found, connection)
    return found


def open_owners(connection: Connection) -> list[tuple[str, str]]:
    """The roles that nobody may act as, and by what somebody can all the same."""
    return [(name, why) for name, why in connection.execute(_OWNERS).fetchall() if why]


def extensions(connection: Connection) -> set[str]:
    """The extensions of the database."""
    return {name for (name,) in connection.execute("SELECT extname FROM pg_extension").fetchall()}
