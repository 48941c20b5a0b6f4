-- What was applied, and the digest that yoyo's log of its last application holds as a comment.
SELECT DISTINCT ON (migration.migration_id)
    migration.migration_id AS name, coalesce(comment, '') AS digest, applied_at_utc AS at
FROM public._yoyo_migration AS migration
    LEFT JOIN public._yoyo_log AS log ON log.migration_id = migration.migration_id AND operation = 'apply'
ORDER BY migration.migration_id, created_at_utc DESC
