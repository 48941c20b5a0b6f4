-- Materialized views that are kept fresh: what they show is as of when, and how old that may be.
SELECT view_name AS view, extract(epoch FROM refreshed_at) AS refreshed, extract(epoch FROM every) AS every
FROM ops.view_refresh
ORDER BY view_name
LIMIT 100
