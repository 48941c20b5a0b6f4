"""The cache: six nodes, the keys spread over three masters. `sentinel` with three nodes is the smaller choice."""

redis = {"mode": "cluster", "replicas": 1}
