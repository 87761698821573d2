"""crack_node, the perception node: ``node`` is the entry point, ``parameters`` lists the parameters."""
