"""What this host, or the whole fleet, tells Prometheus; and the status page, served."""
