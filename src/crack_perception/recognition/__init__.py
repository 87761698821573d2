"""Models: verification, inference backends, severity and the frame detector."""
