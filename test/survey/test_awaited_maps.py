# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""When the map of a structure can be made."""

from __future__ import annotations

from crack_perception.survey.awaited_maps import AwaitedMaps


def test_awaited_maps_structure_is_complete_with_its_last_recording() -> None:
    awaited = AwaitedMaps[str](["dam", "bridge", "tower"])
    awaited.wait_for("flight 1", "dam")
    awaited.wait_for("flight 1", "bridge")  # it takes the place of an earlier recording there
    awaited.wait_for("flight 2", "dam")
    awaited.wait_for("flight 2", "dam")
    awaited.wait_for("flight 3", "pylon")  # not made again
    assert awaited.complete() == ["tower"]
    assert awaited.end("flight 1") == ["bridge"]
    assert awaited.end("flight 3") == []
    assert awaited.end("flight 2") == ["dam"]
    assert awaited.end("flight 2") == []
    assert awaited.complete() == ["bridge", "dam", "tower"]
