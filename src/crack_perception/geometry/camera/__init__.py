"""Camera models, lens distortion, checks of camera_info, and motion of the view."""
