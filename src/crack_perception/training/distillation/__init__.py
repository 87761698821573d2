"""Training of small models from large ones."""
