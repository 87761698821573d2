# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Offline training and evaluation of the shipped models (optional extra ``train``).

The only room that may import torch. Entry points: :func:`pipeline.train_model` and
:func:`distillation.pipeline.train_student` train a model, :mod:`export` writes it,
:func:`evaluation.report.evaluate_model` measures it, and :mod:`paper` reproduces the tables and ablations of the paper.
"""
