# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Names of classes and directions as people write them, for documents and pages."""

from __future__ import annotations

import re


def typeset(words: str) -> str:
    """Names of classes and directions as documents print them: "0.3-1.27mm" as "0.3–1.27 mm", ">=2 mm" as "≥ 2 mm"."""
    words = re.sub(r"(?<=\d)-(?=\d)", "–", words.replace(">=", "≥ ").replace(" deg", "°"))
    return re.sub(r"(?<=\d)mm", " mm", re.sub(r"<(?=\d)", "< ", words))
