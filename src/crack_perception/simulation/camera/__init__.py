"""Simulated camera: geometry of the view, rendering through the lens, and the sensor."""
