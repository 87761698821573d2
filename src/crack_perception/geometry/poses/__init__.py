"""Poses over time: histories of stamped poses, the tree of transforms, covariances and checks."""
