"""crack_mapper, the mapping node: ``node`` is the entry point, ``parameters`` lists the parameters."""
