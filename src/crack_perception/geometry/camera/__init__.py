"""Camera models and lenses."""
