"""Surfaces: planes, ranges, and what was learnt of them in flight."""
