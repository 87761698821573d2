# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reproduction of the paper: its Tables 1-4, and ablations of every part of the method.

:func:`tables.run.measure` measures the tables and :func:`training_ablation.ablate` compares variants of the training.
:mod:`speed_contenders` builds the paper's uncompressed models for the speed report. No shipped model depends on this
room.
"""
