"""The main cluster of the lab."""

postgres = {
    "databases": {"pend_production": {"owner": "pend_app"}},
    "roles": {"pend_app": {"member_of": ["app_user"]}},
    "sizing": {"memory_mib": 1024, "cores": 2},  # three hosts share one machine
}

patroni = {"preset": "fast"}
