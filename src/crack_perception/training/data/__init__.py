"""Labelled tiles, views and augmentation."""
