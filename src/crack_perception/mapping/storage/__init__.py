"""The map on disk: an SQLite file and files that are written atomically."""
