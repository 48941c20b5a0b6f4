"""From the JSON files of the old server into the database, and back."""
