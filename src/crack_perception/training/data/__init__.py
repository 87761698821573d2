# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training data: labelled tiles, intact surfaces, synthetic cracks, augmentation, and caches of all of them.

Entry points: ``training_tiles.load_training_tiles`` (inputs of a training), ``examples`` (epochs and views),
``manifest`` and ``rows`` (labelled images), ``photograph_folds`` (cross-validation), ``view_cache`` (views with teacher
outputs), ``interference`` and ``known_cracks`` (test conditions of fixed strength).
"""
