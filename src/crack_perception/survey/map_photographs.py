# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photographs of a structure's map: the best of its recordings, in the folder beside the map file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.evidence.album import Album
from crack_perception.mapping.evidence.photograph import Photograph, photograph_folder, photograph_name
from crack_perception.mapping.evidence.self_describing import record_bytes, with_record
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.survey.placement import MapSource, between
from crack_perception.survey.recorded_photographs import PHOTOGRAPHS, pictures, recorded
from crack_perception.survey.storage import Storage
from crack_perception.survey.tasks import RECORDINGS

Array = npt.NDArray[np.float64]

# Of a line that is drawn on the page.
_SHOWN_VERTICES = 40


@dataclass(frozen=True)
class _Row:
    """Place of a picture in the archive."""

    recording: str
    row: int


class MapPhotographs:
    """Photographs of a map in the storage.

    Args:
        storage: Of the archive.
        map_file: Path of the map below it.
        most_bytes: Limit for all photographs; 0: none are kept.
    """

    def __init__(self, storage: Storage, map_file: str, most_bytes: int) -> None:
        self._storage = storage
        self._folder = f"{Path(map_file).parent.as_posix()}/{photograph_folder(Path(map_file)).name}"
        self._most_bytes = most_bytes
        self._album = Album((), {}, most_bytes)
        self._rows: dict[str, _Row] = {}
        self._kept: tuple[Photograph, ...] = ()

    def keep(self, photographs: Iterable[Photograph]) -> None:
        """Begin with photographs that the folder has already."""
        photographs = tuple(photographs)
        contents = {each.file: self._storage.read(f"{self._folder}/{each.file}") for each in photographs}
        sizes = {name: len(content) for name, content in contents.items() if content is not None}
        self._album = Album(photographs, sizes, self._most_bytes)

    def choose(
        self, sources: Sequence[MapSource], origin: GeographicOrigin | None, crack_along: Callable[[Array], int | None]
    ) -> None:
        """Choose the best photographs of every crack among those of the recordings.

        Args:
            sources: Recordings in order of time.
            origin: Place of the map on the earth.
            crack_along: Returns the crack of the map that a line (N, 3) shows.

        Raises:
            UserError: A table cannot be read.
        """
        for source in sources:
            transform = between(source.origin, origin)
            for file in self._table(source.key):
                for row, stored, size in recorded(file):
                    photograph = stored if transform is None else stored.moved(transform)
                    found = photograph.of_its_crack(crack_along)
                    if found is None:
                        continue
                    name = f"{source.key}-{row}.jpg"
                    self._rows[name] = _Row(source.key, row)
                    offered = replace(found, file=name, source=source.name)
                    self._album.offer(offered, size + record_bytes(offered))

    def write(self) -> tuple[Photograph, ...]:
        """Write the files of the chosen photographs; return their records.

        Files of the earlier map stay, so that it is complete until the new one takes its place.

        Raises:
            UserError: A file cannot be read or written.
        """
        present = set(self._storage.names(self._folder))
        chosen = [each for crack in sorted(self._album.crack_ids) for each in self._album.of(crack)]
        written = [each for each in chosen if each.file not in self._rows]
        of_recording: defaultdict[str, dict[int, Photograph]] = defaultdict(dict)
        for each in chosen:
            if each.file in self._rows:
                place = self._rows[each.file]
                of_recording[place.recording][place.row] = each
        for recording, by_row in of_recording.items():
            for file in self._table(recording):
                for row, jpeg in pictures(file, by_row):
                    # Files do not depend on where the recording lay, so that they are named by the key of its content.
                    data = with_record(jpeg, replace(by_row[row], source=recording))
                    name = photograph_name(by_row[row], data)
                    if name not in present:
                        self._storage.write(f"{self._folder}/{name}", data)
                    written.append(replace(by_row[row], file=name))
        self._kept = tuple(sorted(written, key=lambda each: (each.crack_id, -each.quality, each.file)))
        return self._kept

    def remove_others(self) -> None:
        """Remove the files of photographs that the map does not have any more.

        Raises:
            UserError: A file cannot be removed.
        """
        known = {each.file for each in self._kept}
        for name in self._storage.names(self._folder):
            if name not in known:
                self._storage.remove(f"{self._folder}/{name}")

    @property
    def count(self) -> int:
        """Number of photographs, as written."""
        return len(self._kept)

    def best(self) -> dict[int, Photograph]:
        """Return the best photograph of every crack that has one, as written."""
        found: dict[int, Photograph] = {}
        for each in self._kept:
            found.setdefault(each.crack_id, each)
        return found

    def path(self, photograph: Photograph) -> str:
        """Return the path of a photograph below the folder of the map."""
        return f"{self._folder.rpartition('/')[2]}/{photograph.file}"

    def shown(self, photograph: Photograph | None) -> dict[str, Any] | None:
        """Return what the page needs to show a photograph with the lines of its crack; None without one."""
        if photograph is None:
            return None
        return {
            "path": self.path(photograph),
            "size_px": list(photograph.size_px),
            "lines_px": [np.round(_thinned(line.points_px), 1).tolist() for line in photograph.lines],
            "gsd_mm_per_px": round(photograph.gsd_mm_per_px, 3),
        }

    def _table(self, recording: str) -> Iterator[Any]:
        """Open the photographs of a recording, if there are any: they may have been left out, or deleted for room."""
        folder = f"{RECORDINGS}/{recording}"
        if f"{PHOTOGRAPHS}.parquet" in self._storage.names(folder):
            with self._storage.opened(f"{folder}/{PHOTOGRAPHS}.parquet") as file:
                yield file


def _thinned(points_px: Array) -> Array:
    """Return some of the points of a line (N, 2), both ends included."""
    places = np.linspace(0, len(points_px) - 1, min(len(points_px), _SHOWN_VERTICES))
    return points_px[np.rint(places).astype(int)]
