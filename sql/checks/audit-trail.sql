-- The audit trail is chained without a hole: each record's hash follows from the one before it, up to the head.
-- needs: public.audit_trail, audit.head
--
-- `ops audit verify` names what was done to it; here it is enough that a restore brought back what was written.
SELECT format('chain %s, position %s: %s', chain, chain_position, CASE
           WHEN chain_position <> before + 1 THEN format('follows position %s', before)
           ELSE 'its hash does not follow from the record before it'
       END) AS violation
FROM (
    SELECT chain, chain_position, hash, coalesce(lag(chain_position) OVER links, 0) AS before,
           sha256(coalesce(lag(hash) OVER links, '') || convert_to(audit.payload(entry), 'UTF8')) AS expected
    FROM public.audit_trail AS entry
    WINDOW links AS (PARTITION BY chain ORDER BY chain_position)
) AS chained
WHERE chain_position <> before + 1 OR hash <> expected
UNION ALL
SELECT format('chain %s: its head is position %s, its last record %s', h.chain, h.chain_position, coalesce(a.last, 0))
FROM audit.head AS h
LEFT JOIN (SELECT chain, max(chain_position) AS last FROM public.audit_trail GROUP BY chain) AS a ON a.chain = h.chain
WHERE h.chain_position <> coalesce(a.last, 0);
