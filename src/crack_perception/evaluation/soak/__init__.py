# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Soak test: the real nodes over DDS for minutes or hours while faults are injected.

Other rooms use ``soak`` (run it) and ``report`` (its table).
"""
