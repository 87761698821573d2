# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Models: verification, inference backends, severity, and detection and measurement in a frame.

Other rooms use ``detector`` and ``cracks`` (the public API), ``models`` (load a model), ``backends``,
``frame_detector`` (regions of a frame), ``measurement`` (their lines and widths), ``tile_verdict`` (a whole picture)
and ``severity``.
"""
