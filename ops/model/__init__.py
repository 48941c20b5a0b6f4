"""Plain values and pure decisions: nothing in here reads a file, a clock or a socket. Standard library only."""
