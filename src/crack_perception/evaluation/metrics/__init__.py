"""Accuracy of detections, lines and the map."""
