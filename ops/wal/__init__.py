"""WAL: what PostgreSQL's archive_command and restore_command call, and what the archive holds.

The contract with PostgreSQL is in contract.py and docs/adr/0001-exit-codes.md.
"""
