"""Model files and cards."""
