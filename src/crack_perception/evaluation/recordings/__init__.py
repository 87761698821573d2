"""Recordings on disk, whole or damaged: MCAP, sqlite3 and ROS 1 files, and what a path given by the user stands for."""
