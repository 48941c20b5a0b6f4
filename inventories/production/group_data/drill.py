"""What is promised, and proven by drills: back within the hour, at most two minutes of data missing."""

drill = {"cluster": "pg_main", "rto_seconds": 3600, "rpo_seconds": 120}
