"""The analytics cluster: TimescaleDB. Where its packages come from is the one thing to set for it to appear."""

timescaledb = {
    "source": {
        "url": "https://apt.timescale.example/debian",  # a mirror of yours; this name never answers
        "suite": "bookworm",
        "key": "https://apt.timescale.example/key.asc",
    },
    "required": False,  # without it the lab leaves this cluster out, says so, and does everything else
}

postgres = {
    "port": 5433,
    "databases": {"pend_analytics": {"owner": "pend_analytics_app"}},
    "roles": {"pend_analytics_app": {"member_of": ["analytics_app"]}},
    "sizing": {"memory_mib": 1024, "cores": 2},
}

patroni = {"preset": "fast"}

routing = {"write_port": 5010, "read_port": 5011}
