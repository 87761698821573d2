"""Soak test: the real nodes over DDS for minutes or hours while faults are injected."""
