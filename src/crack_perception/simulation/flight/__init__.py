"""The simulated flight and its recording."""
