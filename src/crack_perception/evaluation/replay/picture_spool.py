"""JPEG pictures stored in one file until the replay has time to use them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from crack_perception.errors import file_error


class _Place(NamedTuple):
    offset: int
    size: int


class PictureSpool:
    """Encoded pictures by stamp, on disk.

    Args:
        path: File to write; it is deleted by ``close``.

    Attributes:
        failure: Why pictures are missing; empty while all could be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w+b")
        self._places: dict[int, _Place] = {}
        self._end = 0
        self.failure = ""

    @property
    def stamps_ns(self) -> list[int]:
        """Stamps of the pictures, ascending."""
        return sorted(self._places)

    def append(self, stamp_ns: int, encoded: bytes) -> None:
        """Store one picture; a second one of the same stamp replaces the first.

        What the disk refuses is left out: pictures are not worth ending a replay.
        """
        try:
            self._file.seek(self._end)
            self._file.write(encoded)
            self._file.flush()
        except OSError as error:
            self.failure = str(file_error(self._path, error))
            return
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
        with suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)
