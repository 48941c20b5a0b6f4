-- Whether this database has the extension pend_monitor.
SELECT to_regprocedure('monitor.sequences()') IS NOT NULL AS known
