"""Failover drills, from the controller: a fault on purpose, clients that keep a journal, and what it cost them."""
