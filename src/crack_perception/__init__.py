"""Concrete cracks from a drone's camera, with pose and covariance, for ROS 2."""

__version__ = "0.1.0"
