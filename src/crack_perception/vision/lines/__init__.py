"""Crack lines in images: ridges, tracing, centre lines and widths."""
