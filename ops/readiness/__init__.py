"""Whether a failover would go well: everything that it hangs on is read, nothing is changed."""
