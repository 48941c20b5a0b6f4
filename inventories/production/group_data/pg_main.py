"""The main cluster: `pend_production`."""

postgres = {
    "databases": {"pend_production": {"owner": "pend_app"}},
    "roles": {
        "pend_app": {"connection_limit": 80, "member_of": ["app_user"]},
        "pend_readonly": {"member_of": ["pg_read_all_data"]},
    },
    "settings": {"log_min_duration_statement": "500ms"},
}

patroni = {"preset": "balanced"}
