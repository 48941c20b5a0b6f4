"""Base backups: taking, listing and restoring them. The format is in docs/repository-format.md."""
