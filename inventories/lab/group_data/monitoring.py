"""Where the lab looks at itself from, and whom it tells: ops/lab/pager.py, while a test or a benchmark listens.

No heartbeat: mostly nobody listens, and of that Alertmanager would rightly complain.
"""

monitoring = {
    "retention_gib": 1,
    "receivers": {"pager": {"type": "webhook", "url": "http://10.213.7.1:9099/"}},
    "pages": ["pager"],
    "tickets": ["pager"],
    "viewers": ["lab"],
    "timing": {"group_wait": 1, "group_interval": 5},  # who waits for a page here has broken something on purpose
}
