"""crack_mapper: the mapping node."""
