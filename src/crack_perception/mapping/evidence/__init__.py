# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Evidence of a crack: its photographs, and the decisions of reviewers.

Other rooms use ``photograph`` and ``self_describing`` (a photograph and its record), ``decisions`` (what reviewers
decided), ``reviewed`` (the cracks after all decisions) and ``album`` (the best photographs of a map).
"""
