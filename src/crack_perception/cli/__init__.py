"""Command line ``crack_perception VERB``: one module per verb, ``main`` as entry point, shared parts in ``common``."""
