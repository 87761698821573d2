# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""TensorRT on NVIDIA GPUs: engines are built by ``crack_perception build-engine``, kept in a cache, and run from there.

TensorRT and PyCUDA are optional: ``library`` alone imports the first, ``cuda`` alone the second, both when needed. This
code has not run on a GPU yet (docs/backends.md says what was checked without one).
"""
