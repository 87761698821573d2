"""Simulated flight: settings, plan, trajectory, measurement errors, bag and ground truth."""
