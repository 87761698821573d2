"""Evaluation of models and nodes: reading and replaying recordings, metrics, report pages and the speed benchmark."""
