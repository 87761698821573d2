# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Simulated surfaces: procedural concrete or a photograph, and the cracks on it; ``facet`` is a whole surface."""
