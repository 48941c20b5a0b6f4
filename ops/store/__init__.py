"""Object storage: one interface (base.py), S3 and a local folder, one contract suite for both."""
