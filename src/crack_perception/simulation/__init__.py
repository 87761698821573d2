"""Flights along a wall with known cracks, as bags with ground truth."""
