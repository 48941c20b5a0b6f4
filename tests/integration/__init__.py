"""Tests against real PostgreSQL and SeaweedFS on loopback."""
