"""Judging the node: replay, truth, metrics and reports."""
