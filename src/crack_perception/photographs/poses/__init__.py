# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Readers of the poses and cameras of photographs, one module per format; ``find`` chooses among them."""
