"""The whole fleet on one page: gathered once, shown in a terminal, as JSON and as HTML."""
