"""The flight of the demo, simulated once and kept while nothing that makes it changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import crack_perception
from crack_perception.errors import UserError
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import write_flight

_MARK = "flight.json"
_ROOMS_THAT_MAKE_IT = ("simulation", "geometry")
_PROGRESS_STEPS = 5


def provide_flight(settings: FlightSettings, bag: Path, fresh: bool, say: Callable[[str], None]) -> None:
    """Have the bag of a flight at ``bag``; an existing one of the same settings and simulator is kept.

    Args:
        settings: What to fly.
        bag: Folder of the bag.
        fresh: Simulate in any case.
        say: Takes a line of progress.

    Raises:
        UserError: The folder cannot be written or holds something else, or the flight cannot be planned.
    """
    mark = bag.parent / _MARK
    wanted = {"fingerprint": fingerprint(settings)}
    if not fresh and (bag / "metadata.yaml").is_file() and _read(mark) == wanted:
        say(f"keeping the flight in {bag} (--fresh simulates it again)")
        return
    say(f"simulating a flight of {settings.duration_s:g} s")
    mark.unlink(missing_ok=True)

    def progress(written: int, total: int) -> None:
        step = max(1, total // _PROGRESS_STEPS)
        if written % step == 0:
            say(f"  {written} of {total} images")

    write_flight(settings, bag, True, progress)
    mark.write_text(json.dumps(wanted) + "\n", encoding="utf-8")


def fingerprint(settings: FlightSettings) -> str:
    """SHA-256 of everything that a flight is made from: settings, the photographs, the simulator's own code."""
    digest = hashlib.sha256(json.dumps(asdict(settings), default=str, sort_keys=True).encode())
    for file in (settings.texture, settings.texture_labels):
        if file is not None:
            digest.update(_content(file))
    package = Path(crack_perception.__file__).parent
    for room in _ROOMS_THAT_MAKE_IT:
        for source in sorted((package / room).glob("*.py")):
            digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})", "Give an existing file") from None


def _read(mark: Path) -> object:
    try:
        return json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
