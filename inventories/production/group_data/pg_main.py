"""The main cluster: `pend_production`."""

postgres = {
    "databases": {"pend_production": {"owner": "pend_app"}},
    "roles": {
        "pend_app": {"connection_limit": 80, "member_of": ["app_user"]},
        "pend_readonly": {"member_of": ["pg_read_all_data"]},
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
    "settings": {"log_min_duration_statement": "500ms"},
}

patroni = {"preset": "balanced"}
