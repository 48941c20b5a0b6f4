REVOKE SELECT ON public._yoyo_migration, public._yoyo_log FROM exporter;
