"""Where the lab proves its restores. The promises are production's."""

drill = {"cluster": "pg_main"}
