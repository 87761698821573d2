# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tasks of a survey that end their process at some recordings; here, because processes import them by name."""

from __future__ import annotations

import os
from typing import Any

from crack_perception.survey.tasks import plan_recording, process_part


def ending_part(job: Any, source: Any, *rest: Any) -> dict[str, Any]:
    """Process a part, unless it is of a recording that ends its process, as one that needs too much memory does."""
    if "deadly" in source.name:
        os._exit(9)
    return process_part(job, source, *rest)


def ending_plan(job: Any, source: Any) -> Any:
    if "deadly" in source.name:
        os._exit(9)
    return plan_recording(job, source)
