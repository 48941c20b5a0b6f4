"""Everything that is measured. A new collector is a file here and a line in `of_host` or `of_fleet`."""
