# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Surfaces given by the user: planes, point clouds and meshes, as the plane under a region of a photograph.

``settings`` reads what the user gives, ``sources`` finds the plane.
"""
