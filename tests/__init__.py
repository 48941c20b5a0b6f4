"""unit needs nothing, integration starts real servers on loopback, lab deploys to real hosts and breaks them."""
