"""Drills: what is promised is tried, on real data, and what was seen is kept as evidence."""
