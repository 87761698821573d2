"""What a frame changed in the map."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(eq=False)
class MapChange:
    """What a frame changed.

    Attributes:
        changed: Ids of cracks that are new or differ from before.
        removed: Ids of cracks that are no longer there: false ones, and those merged into others.
        merged: For the latter, the id they are part of now.
    """

    changed: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    merged: dict[int, int] = field(default_factory=dict)

    def drop(self, identifier: int) -> None:
        """Note that a crack is gone."""
        self.changed.discard(identifier)
        self.removed.add(identifier)
