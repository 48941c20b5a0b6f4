-- How long the audit trail is, by the heads of its chains.
SELECT sum(chain_position)::float8 AS records FROM audit.head
