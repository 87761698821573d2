"""Accuracy of models on labelled data."""
