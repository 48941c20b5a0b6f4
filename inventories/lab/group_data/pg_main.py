"""The main cluster of the lab."""

postgres = {
    "databases": {"pend_production": {"owner": "pend_app"}},
    "roles": {
        "pend_app": {"member_of": ["app_user"]},
        # Groups: who logs in is a member of some. What each may do: docs/guides/databases.md.
        "app_user": {"login": False},
        "admin_role": {"login": False},
        "auditor": {"login": False},
        "analyst": {"login": False},
        "exporter": {"login": False},
        # These own things. The last two have no members: ops db validate says so if they get one.
        "migrator": {"login": False},
        "view_owner": {"login": False},
        "audit_owner": {"login": False},
    },
    "sizing": {"memory_mib": 1024, "cores": 2},  # three hosts share one machine
}

patroni = {"preset": "fast"}
