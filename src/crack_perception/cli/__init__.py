# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Command line ``crack_perception VERB``: one module per verb, ``main`` as entry point, shared parts in ``common``."""
