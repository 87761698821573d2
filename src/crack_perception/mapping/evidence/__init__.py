# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Evidence of a crack: its photographs, and the decisions of reviewers."""
