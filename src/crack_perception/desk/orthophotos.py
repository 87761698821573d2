# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Orthophotos under the plan of the page: where they lie on a facet, and their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from crack_perception.desk.map_files import read_file_beside
from crack_perception.errors import UserError
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.report.orthophoto.index import INDEX, FacetOrthophoto, orthophoto_folder, read_index

_PNG_START = b"\x89PNG"
_DIGITS = 9


def index_path(map_path: Path) -> Path:
    """Index of the orthophotos beside a map."""
    return orthophoto_folder(map_path) / INDEX


@dataclass(frozen=True, eq=False)
class Orthophotos:
    """Orthophotos of a map.

    Attributes:
        of_facets: All of them.
        files: Name in an address -> path below the folder; nothing else can be asked for.
        version: Changes when they are made again.
        problem: Why there are none although there is an index; empty otherwise.
    """

    of_facets: Sequence[FacetOrthophoto] = ()
    files: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    version: int = 0
    problem: str = ""

    @staticmethod
    def beside(map_path: Path) -> Orthophotos:
        """The orthophotos that were made beside a map."""
        folder = orthophoto_folder(map_path)
        try:
            version = (folder / INDEX).stat().st_mtime_ns
            found = read_index(folder)
        except FileNotFoundError:
            return Orthophotos()
        except (UserError, OSError) as error:
            return Orthophotos(problem=str(error))
        paths = [path for each in found for path in (each.overview, *(path for _, _, path in each.tiles))]
        files = {path.name: path.relative_to(folder).as_posix() for path in paths}
        return Orthophotos(found, files, version)

    def documents(self, facet: Facet) -> list[dict[str, Any]]:
        """The pictures of a facet: addresses, and the affine maps from their pixels to the facet's coordinates."""
        return [self._document(each, facet) for each in self.of_facets if each.is_of(facet)]

    def _document(self, orthophoto: FacetOrthophoto, facet: Facet) -> dict[str, Any]:
        corner_m, right_m, down_m = orthophoto.affine_m.T
        corner, right, down = facet.flat(np.array([corner_m, corner_m + right_m, corner_m + down_m])).tolist()
        steps = [[end[axis] - corner[axis] for axis in (0, 1)] for end in (right, down)]
        overview = facet.flat(orthophoto.corners_m)
        return {
            "overview": self._address(orthophoto.overview),
            "overview_corners": overview.round(_DIGITS).tolist(),
            "corner": corner,
            "right": steps[0],
            "down": steps[1],
            "tile_px": orthophoto.tile_px,
            "mm_per_px": orthophoto.mm_per_px,
            "tiles": [[row, column, self._address(path)] for row, column, path in orthophoto.tiles],
        }

    def _address(self, path: Path) -> str:
        return f"/api/orthophotos/{path.name}?v={self.version}"

    def read(self, map_path: Path, name: str) -> bytes | None:
        """A picture of the index; None where its file is missing, is a link or is no PNG."""
        file = self.files.get(name)
        return None if file is None else read_file_beside(map_path, orthophoto_folder(map_path), file, _PNG_START)
