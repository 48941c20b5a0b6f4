"""PostgreSQL on this host: its control file, connections, server processes, its own programs, Patroni's API."""
