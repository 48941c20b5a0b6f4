"""The routers, and the names that clients know them by."""

router = {"max_connections": 4000}
