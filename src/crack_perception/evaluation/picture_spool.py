"""JPEG pictures put aside in one file while there is no time to do more with them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class _Place(NamedTuple):
    offset: int
    size: int


class PictureSpool:
    """Encoded pictures by stamp, on disk.

    Args:
        path: File to write; it is deleted by ``close``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w+b")
        self._places: dict[int, _Place] = {}
        self._end = 0

    @property
    def stamps_ns(self) -> list[int]:
        """Stamps of the pictures, ascending."""
        return sorted(self._places)

    def append(self, stamp_ns: int, encoded: bytes) -> None:
        """Put one picture aside; a second one of the same stamp replaces the first."""
        self._file.seek(self._end)
        self._file.write(encoded)
        self._places[stamp_ns] = _Place(self._end, len(encoded))
        self._end += len(encoded)

    def read(self, stamp_ns: int) -> bytes:
        """The picture of a stamp.

        Raises:
            KeyError: There is none.
        """
        place = self._places[stamp_ns]
        self._file.seek(place.offset)
        return self._file.read(place.size)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)
