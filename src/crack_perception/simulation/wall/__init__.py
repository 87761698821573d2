"""Simulated surfaces: procedural concrete or a photograph, and the cracks on it."""
