-- The oracle of restore drills: a row a second, written by `ops heartbeat run` on the primary.
-- Ids are contiguous and come from no sequence, which would skip some after a failover: a row that is missing
-- after a restore shows as a hole. When exactly a row was committed, pg_xact_commit_timestamp(xmin) says.

CREATE SCHEMA ops;

COMMENT ON SCHEMA ops IS 'What the platform itself keeps in every cluster';

CREATE TABLE ops.heartbeat (
    id   bigint      PRIMARY KEY,
    at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    host text        NOT NULL
);

COMMENT ON TABLE ops.heartbeat IS 'A row a second, two days of them: what restore drills are measured by';
COMMENT ON COLUMN ops.heartbeat.id IS 'Contiguous: the row before, plus one';
COMMENT ON COLUMN ops.heartbeat.at IS 'When it was written, by the clock of the primary; committed shortly after';
COMMENT ON COLUMN ops.heartbeat.host IS 'The host that was the primary';
