DROP TABLE ops.import_reject;
DROP TABLE ops.import_table;
DROP TABLE ops.import_section;
DROP TABLE ops.import_file;
