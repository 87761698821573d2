"""The ROS shell: converts, schedules and reports."""
