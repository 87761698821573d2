"""From a manifest's rows to checked rows, a split of photographs and one cache of decoded tiles."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.training.data.manifest import LABELS, WHOLE_PHOTOGRAPHS, Row
from crack_perception.vision.tiling import pad_to_tile

TILE_PX = 256
_OFFENDERS_SHOWN = 12


def trainable_rows(rows: Iterable[Row]) -> list[Row]:
    """Tiles whose licence lets them train a shipped model, train split only; whole photographs left out."""
    return [row for row in rows if row.role == "ship" and row.split == "train" and row.source != WHOLE_PHOTOGRAPHS]


def check_rows(rows: Sequence[Row], directory: Path) -> None:
    """Refuse data that would train or judge a model wrongly, naming all offenders.

    Args:
        rows: The ``ship`` rows of both splits.
        directory: What their paths are relative to.

    Raises:
        UserError: A file is missing, a label unknown, a class empty, or a photograph lies in both splits.
    """
    offenders = [f"{row.path}: no such file" for row in rows if not (directory / row.path).is_file()]
    offenders += [f"{row.path}: unknown label {row.label!r}" for row in rows if row.label not in LABELS]
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        splits[row.group_id].add(row.split)
    offenders += [f"{group}: photograph in {' and '.join(sorted(s))}" for group, s in splits.items() if len(s) > 1]
    for label in LABELS:
        if not any(row.label == label and row.split == "train" for row in rows):
            offenders.append(f"no train row is labelled {label}")
    _refuse(offenders, directory)


def _refuse(offenders: Sequence[str], directory: Path) -> None:
    if not offenders:
        return
    shown = "\n  ".join(offenders[:_OFFENDERS_SHOWN])
    more = f"\n  and {len(offenders) - _OFFENDERS_SHOWN} more" if len(offenders) > _OFFENDERS_SHOWN else ""
    raise UserError(f"the manifest in {directory} cannot be used:\n  {shown}{more}", "Mend these rows")


def validation_groups(rows: Sequence[Row], share: float, seed: int) -> frozenset[str]:
    """Photographs kept out of the backbone's training, the same share of every kind of surface.

    Args:
        rows: Train rows.
        share: Share of the photographs of each (origin, surface), rounded up.
        seed: Chooses them.

    Returns:
        The ``group_id`` values of the validation photographs. Sources cut from the same photographs share them.
    """
    strata: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        strata[(row.group_id.split(":")[0], row.surface)].add(row.group_id)
    rng = np.random.default_rng(seed)
    chosen: set[str] = set()
    for _, groups in sorted(strata.items()):
        ordered = sorted(groups)
        count = int(np.ceil(share * len(ordered)))
        chosen.update(ordered[i] for i in rng.permutation(len(ordered))[:count])
    return frozenset(chosen)


def load_tiles(rows: Sequence[Row], directory: Path, cache: Path) -> npt.NDArray[np.uint8]:
    """Decode every row once; later calls map the cached array into memory.

    Args:
        rows: What to decode.
        directory: What their paths are relative to.
        cache: Folder for the array; its name changes with the list of rows.

    Returns:
        ``(N, 256, 256, 3)`` uint8 BGR, read-only memory map.

    Raises:
        UserError: Images that cannot be decoded, all of them listed.
    """
    digest = hashlib.sha256("\n".join(row.path for row in rows).encode()).hexdigest()[:12]
    path = cache / f"tiles_{digest}.npy"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        tiles = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(rows), TILE_PX, TILE_PX, 3))
        offenders = []
        for index, row in enumerate(rows):
            image = cv2.imread(str(directory / row.path), cv2.IMREAD_COLOR)
            if image is None:
                offenders.append(f"{row.path}: cannot be decoded")
            else:
                tiles[index] = pad_to_tile(np.asarray(image, np.uint8), TILE_PX)[:TILE_PX, :TILE_PX]
        _refuse(offenders, directory)
        tiles.flush()
        partial.rename(path)
    return np.asarray(np.load(path, mmap_mode="r"))
