"""pend-ops: run PostgreSQL so that every recovery claim is proven. The command is `ops`; see docs/architecture.md."""
