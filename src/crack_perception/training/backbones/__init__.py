# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Network trunks, their published weights, fine-tuning, and the features that the heads are fitted on.

Each architecture has its own file and uses torchvision's parameter names where torchvision has that architecture.
Entry points: ``registry`` (backbones by name), ``weight_files`` (published weights), ``network`` and ``finetune``
(training), ``features`` (features of an exported graph) and ``frozen_features`` (features of a registered backbone).
"""
