# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Inference backends behind one protocol.

Other rooms use ``selection`` (open a backend by name) and ``protocol`` (what a backend does, and its errors); libraries
are imported in the module of their backend.
"""
