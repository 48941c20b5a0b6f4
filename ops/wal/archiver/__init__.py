"""The archiver service: pushes ahead of PostgreSQL, fetches ahead of it, and answers client.py over a Unix socket.

server.py accepts, service.py answers, queue.py pushes, ops/wal/prefetch.py fetches; state.py is what all of them
report to. docs/adr/0009-archiver-service.md says why it is so.
"""
