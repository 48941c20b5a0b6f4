-- What `ops cluster apply` has once made or adopted: so that what leaves the inventory can be told from what others made.

CREATE TABLE ops.declared (
    kind     text        NOT NULL CHECK (kind IN ('role', 'database', 'extension')),
    name     text        NOT NULL,
    database text        NOT NULL DEFAULT '',
    since    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, name, database)
);

COMMENT ON TABLE ops.declared IS 'What inventories have declared in this cluster; only this may be dropped by ops cluster apply';
COMMENT ON COLUMN ops.declared.kind IS 'role, database or extension';
COMMENT ON COLUMN ops.declared.name IS 'Its name';
COMMENT ON COLUMN ops.declared.database IS 'The database that an extension is in; empty for roles and databases';
COMMENT ON COLUMN ops.declared.since IS 'When it was first declared';
