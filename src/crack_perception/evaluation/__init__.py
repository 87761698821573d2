# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Evaluation of models and nodes: reading and replaying recordings, metrics, report pages and the speed benchmark."""
