"""The exporter: what only we know of a host (`host`) or of the whole fleet (`fleet`), for Prometheus.

`collectors/` say what is measured, `queries/` how PostgreSQL is asked, `scrape` when and for how long, `server` to whom
it is told. docs/metrics.md is written by `ops exporter metrics`.
"""
