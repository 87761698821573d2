"""Poses over time: histories of stamped poses and the tree of transforms."""
