"""How many threads the model gets, beside the node's other work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

# nano has 12 million multiplications a tile, standard 72. An operator of a small model is over so soon that two threads
# spend a third more processor time on a frame, and on two cores they wait for the one that measures cracks.
_SMALL_MODEL_MACS = 25e6


def model_threads(wanted: int, card: Mapping[str, Any], cores: int | None = None) -> int:
    """Threads to open the backend with.

    Args:
        wanted: The parameter ``inference_threads``; anything but 0 is taken as it is.
        card: The model's card.
        cores: Of this machine; None asks the system.

    Returns:
        1 for a small model on at most two cores, else ``wanted``, where 0 leaves the choice to the backend.
    """
    macs = card.get("macs_per_tile")
    is_small = isinstance(macs, (int, float)) and macs <= _SMALL_MODEL_MACS
    if wanted == 0 and is_small and (cores or os.cpu_count() or 1) <= 2:
        return 1
    return wanted
