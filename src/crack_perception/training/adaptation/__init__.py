# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Adaptation of a model to a site: a linear term on its features, fitted on labelled tiles with numpy alone."""
