# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Collection of uncertain tiles on disk, to be labelled and used by ``crack_perception adapt``.

The thread that publishes results only chooses and copies a tile, after the results of its frame are out; encoding and
writing happen in a thread of their own. A full folder is thinned: every second tile is deleted and the time between
tiles is doubled, so that what is kept stays spread over all flights. Tiles that were moved away, for example into the
subfolders ``crack`` and ``intact``, do not count and are never deleted.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError, file_error
from crack_perception.mapping.storage.atomic_file import remove_leftovers, write_atomically
from crack_perception.recognition.uncertain_tiles import TileSpread, most_uncertain_tile
from crack_perception.ros.common.stamps import stamp_ns
from crack_perception.ros.detector.processor import ProcessedFrame, ScoredFrame
from crack_perception.ros.detector.queues import Mailbox
from crack_perception.vision.tiling import reduced

MOST_BYTES = 256 << 20
"""Limit of the tiles in the folder, however many are allowed."""
LEAST_FREE_BYTES = 512 << 20
"""Nothing is written to a disk with less free space."""
FIRST_INTERVAL_S = 2.0
_NAME = re.compile(r"(\d{1,20})_x\d+_y\d+\.png")
_PARTIAL = re.compile(r"\.(.+)\.partial-\d+.*")
_STOP_TIMEOUT_S = 5.0


def default_folder() -> Path:
    """Return the folder for collected tiles: ``crack_perception/tiles`` in ROS's home folder."""
    return Path(os.environ.get("ROS_HOME") or Path.home() / ".ros") / "crack_perception" / "tiles"


class TileCollector:
    """Keeps a bounded number of uncertain tiles in a folder.

    Args:
        folder: Created if needed.
        most_tiles: Largest number of tiles in it.
        threshold: Returns the score from which a tile counts as cracked.
        report: Called with the reason when tiles cannot be written.

    Raises:
        UserError: The folder cannot be used.
    """

    def __init__(
        self, folder: Path, most_tiles: int, threshold: Callable[[], float], report: Callable[[str], object]
    ) -> None:
        self._folder = folder
        self._most_tiles = most_tiles
        self._threshold = threshold
        self._report = report
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for entry in list(folder.iterdir()):
                if partial := _PARTIAL.fullmatch(entry.name):
                    remove_leftovers(folder / partial[1])
        except OSError as error:
            raise file_error(folder, error) from error
        self._spread = TileSpread(FIRST_INTERVAL_S)
        self._tiles: Mailbox[tuple[str, npt.NDArray[np.uint8]]] = Mailbox()
        self._writer = threading.Thread(target=self._write_tiles, name="crack_tiles", daemon=True)
        self._writer.start()
        self.written = 0

    def offer(self, scored: ScoredFrame, result: ProcessedFrame) -> None:
        """Take the most uncertain tile of a published frame, if one is due."""
        stamp = stamp_ns(scored.header.stamp)
        if self._tiles.is_waiting or not self._spread.is_due(stamp / 1e9):
            return
        index = most_uncertain_tile(scored.output.scores.crack_score, self._threshold())
        if index is None or not self._spread.is_new_place(result.footprint_m):
            return
        grid = scored.output.grid
        left, top, right, bottom = grid.boxes()[index].tolist()
        # The frame may be a view of a message that is reused; a tile is labelled at the scale that the model reads.
        tile = reduced(scored.frame[top:bottom, left:right].copy(), grid.reduction)
        self._spread.note(stamp / 1e9, result.footprint_m)
        self._tiles.put((f"{stamp:020d}_x{left}_y{top}.png", tile))

    def stop(self) -> None:
        """Finish the tile in hand and end the thread."""
        self._tiles.close()
        self._writer.join(_STOP_TIMEOUT_S)

    def _write_tiles(self) -> None:
        while (item := self._tiles.take()) is not None:
            try:
                self._write(*item)
            except (UserError, OSError, cv2.error) as error:
                self._report(f"No tile was collected: {error}")

    def _write(self, name: str, tile: npt.NDArray[np.uint8]) -> None:
        content = cv2.imencode(".png", tile)[1].tobytes()
        if shutil.disk_usage(self._folder).free < LEAST_FREE_BYTES:
            raise UserError(f"{self._folder}: less than {LEAST_FREE_BYTES >> 20} MiB are free", "Make room on the disk")
        kept = self._collected()
        while kept and (len(kept) >= self._most_tiles or sum(kept.values()) + len(content) > MOST_BYTES):
            self._thin(kept)
        write_atomically(self._folder / name, content)
        self.written += 1

    def _thin(self, kept: dict[Path, int]) -> None:
        """Delete every second tile, in order of time, and double the time between tiles."""
        for path in list(kept)[::2]:
            path.unlink(missing_ok=True)
            del kept[path]
        self._spread.interval_s *= 2.0

    def _collected(self) -> dict[Path, int]:
        """Return the tiles in the folder with their sizes, oldest first."""
        found = {}
        for entry in sorted(self._folder.iterdir(), key=lambda path: path.name):
            if _NAME.fullmatch(entry.name):
                found[entry] = entry.stat().st_size
        return found
