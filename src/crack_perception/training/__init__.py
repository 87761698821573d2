"""Offline training of the shipped models (optional extra `train`)."""
