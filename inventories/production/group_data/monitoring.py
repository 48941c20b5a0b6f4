"""Who is told. The secret of a receiver is `receiver_<name>` in the secrets source."""

monitoring = {
    "receivers": {
        "oncall": {"type": "pagerduty"},
        "databases": {"type": "slack", "channel": "#databases"},
        "mail": {
            "type": "email",
            "to": ["dba@pend.example"],
            "sender": "alerts@pend.example",
            "smarthost": "mail.pend.example:587",
            "username": "alerts",
        },
        # Outside of the site: it raises the alarm when it has not heard from us.
        "switch": {"type": "webhook", "secret": "url"},
    },
    "pages": ["oncall", "databases"],
    "tickets": ["mail"],
    "heartbeat": "switch",
    "viewers": ["dba"],  # of the status page
    "runbooks": "https://git.pend.example/ops/pend-ops/blob/main/",
}
