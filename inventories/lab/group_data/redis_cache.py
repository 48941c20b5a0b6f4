"""The cache: three nodes, and a Sentinel beside each."""

redis = {"mode": "sentinel"}
