"""The analytics cluster: `pend_analytics`, with TimescaleDB."""

timescaledb = {
    "source": {
        "url": "https://apt.timescale.example/debian",  # the vendor's address, or your mirror of it
        "suite": "bookworm",
        "key": "https://apt.timescale.example/key.asc",
    },
    "version": "2.28.*",  # the last series for PostgreSQL 15
}

postgres = {
    "port": 5433,
    "databases": {"pend_analytics": {"owner": "pend_analytics_app"}},
    "roles": {"pend_analytics_app": {"connection_limit": 80, "member_of": ["analytics_app"]}},
}

patroni = {"preset": "balanced"}

routing = {"write_port": 5010, "read_port": 5011}
