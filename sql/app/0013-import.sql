-- How far `ops import json` has come, and what it did not take: written in the transaction of the rows themselves, so
-- that a run that was killed goes on where the last one ended. A database takes the old server's files once.

SET LOCAL ROLE migrator;

CREATE TABLE ops.import_file (
    name       text        PRIMARY KEY,
    bytes      bigint      NOT NULL CHECK (bytes >= 0),
    sha256     text        NOT NULL,
    written_at timestamptz NOT NULL,
    kept       text        NOT NULL,
    problem    text,
    done_at    timestamptz
);
COMMENT ON TABLE ops.import_file IS 'The JSON files that this database was imported from';
COMMENT ON COLUMN ops.import_file.name IS 'Its path below the folder of the files';
COMMENT ON COLUMN ops.import_file.bytes IS 'Its size';
COMMENT ON COLUMN ops.import_file.sha256 IS 'Of its content, in hexadecimal';
COMMENT ON COLUMN ops.import_file.written_at IS 'When it was last changed';
COMMENT ON COLUMN ops.import_file.kept IS 'The folder that its copy is kept in, on the host of the import';
COMMENT ON COLUMN ops.import_file.problem IS 'Where it is cut off or damaged; NULL: it is sound, as far as was read';
COMMENT ON COLUMN ops.import_file.done_at IS 'When all of it was in; NULL: not yet';

CREATE TABLE ops.import_section (
    file     text    NOT NULL REFERENCES ops.import_file (name) ON DELETE CASCADE,
    section  text    NOT NULL,
    closing  text    NOT NULL,
    begins   bigint  NOT NULL,
    position bigint  NOT NULL,
    records  bigint  NOT NULL DEFAULT 0,
    rejected bigint  NOT NULL DEFAULT 0,
    done     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (file, section)
);
COMMENT ON TABLE ops.import_section IS 'How far each section of a file was imported';
COMMENT ON COLUMN ops.import_section.file IS 'Of which file';
COMMENT ON COLUMN ops.import_section.section IS 'Its name; empty: the whole file is one';
COMMENT ON COLUMN ops.import_section.closing IS 'What ends it: a bracket, or a brace';
COMMENT ON COLUMN ops.import_section.begins IS 'The byte of its opening bracket or brace';
COMMENT ON COLUMN ops.import_section.position IS 'The byte up to which it is in';
COMMENT ON COLUMN ops.import_section.records IS 'Records up to there';
COMMENT ON COLUMN ops.import_section.rejected IS 'Those of them that were not taken';
COMMENT ON COLUMN ops.import_section.done IS 'Whether that is all of it';

CREATE TABLE ops.import_table (
    table_name      text          PRIMARY KEY,
    rows_before     bigint        NOT NULL,
    money_before    numeric       NOT NULL,
    checksum_before numeric       NOT NULL,
    rows_read       bigint        NOT NULL DEFAULT 0,
    money_read      numeric       NOT NULL DEFAULT 0,
    checksum_read   numeric       NOT NULL DEFAULT 0
);
COMMENT ON TABLE ops.import_table IS 'What the rows of each table came to before the import, and those that the files gave';
COMMENT ON COLUMN ops.import_table.table_name IS 'In schema public';
COMMENT ON COLUMN ops.import_table.rows_before IS 'Rows that were there before';
COMMENT ON COLUMN ops.import_table.money_before IS 'The sum of their amounts, if they have any';
COMMENT ON COLUMN ops.import_table.checksum_before IS 'The sum of their checksums';
COMMENT ON COLUMN ops.import_table.rows_read IS 'Rows of the files so far';
COMMENT ON COLUMN ops.import_table.money_read IS 'The sum of their amounts, likewise';
COMMENT ON COLUMN ops.import_table.checksum_read IS 'The sum of their checksums';

CREATE TABLE ops.import_reject (
    file     text   NOT NULL REFERENCES ops.import_file (name) ON DELETE CASCADE,
    section  text   NOT NULL,
    position bigint NOT NULL,
    name     text,
    reason   text   NOT NULL,
    record   bytea  NOT NULL,
    PRIMARY KEY (file, section, position)
);
COMMENT ON TABLE ops.import_reject IS 'Records that were not taken, and why; they hold personal data, and are for nobody but superusers';
COMMENT ON COLUMN ops.import_reject.file IS 'In which file';
COMMENT ON COLUMN ops.import_reject.section IS 'In which section of it';
COMMENT ON COLUMN ops.import_reject.position IS 'At which byte it begins';
COMMENT ON COLUMN ops.import_reject.name IS 'What the record calls itself';
COMMENT ON COLUMN ops.import_reject.reason IS 'Why it was not taken';
COMMENT ON COLUMN ops.import_reject.record IS 'As it stands in the file';
