"""crack_node: the perception node."""
