# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Classifiers on pooled features: SVM, forest, calibration, compression, severity and the exported head.

Entry points: ``decision.fit_decision`` (head of a shipped model), ``rows`` (features that it is fitted on),
``head.TileHead`` (the exported form) and ``two_class.fit_two_class`` (classifiers of the paper).
"""
