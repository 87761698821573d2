# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""GeoTIFF files (OGC 19-008) of an orthophoto, written tile by tile with reduced copies for quick display."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.report.orthophoto.place import RasterPlace
from crack_perception.report.orthophoto.raster import TILE_PX
from crack_perception.report.whole_file import whole_file

Image = npt.NDArray[np.uint8]

_REDUCTION = 4
_LEVEL = 4
# TIFF offsets have 32 bits.
_BIG_BYTES = 3_500_000_000
# Tags and keys of GeoTIFF.
_MODEL_TRANSFORMATION, _GEO_KEYS, _GEO_ASCII = 34264, 34735, 34737
_MODEL_TYPE, _RASTER_TYPE, _CITATION, _GEODETIC_TYPE, _PROJECTED_TYPE = 1024, 1025, 1026, 2048, 3072
_PROJECTED, _GEOGRAPHIC, _USER_DEFINED, _PIXEL_IS_AREA, _IN_TEXT = 1, 2, 32767, 1, 34737
_DOUBLE, _SHORT, _ASCII = 12, 3, 2


def write_picture(
    path: Path, size_px: tuple[int, int], tile: Callable[[int, int], Image | None], place: RasterPlace
) -> None:
    """Write red, green, blue and opacity.

    Args:
        size_px: Width and height.
        tile: Returns the tile of a row and column, (H, W, 4) blue, green, red, opacity; None where it is empty.

    Raises:
        UserError: The file cannot be written.
    """
    from tifffile import TiffWriter

    width_px, height_px = size_px
    options: dict[str, Any] = {
        "photometric": "rgb",
        "extrasamples": ["unassalpha"],
        "compression": "adobe_deflate",
        "compressionargs": {"level": _LEVEL},
        "predictor": 2,
        "dtype": np.uint8,
        "metadata": None,
        "tile": (TILE_PX, TILE_PX),
    }
    with whole_file(path) as partial, TiffWriter(partial, bigtiff=4 * width_px * height_px > _BIG_BYTES) as file:
        file.write(_full_tiles(size_px, tile, 1), shape=(height_px, width_px, 4), extratags=geo_tags(place), **options)
        reduction = _REDUCTION
        while max(width_px, height_px) > reduction * TILE_PX // _REDUCTION and min(size_px) >= reduction:
            shape = (-(-height_px // reduction), -(-width_px // reduction), 4)
            file.write(_full_tiles(size_px, tile, reduction), shape=shape, subfiletype=1, **options)
            reduction *= _REDUCTION


def write_numbers(path: Path, numbers: npt.NDArray[np.uint16], place: RasterPlace) -> None:
    """Write one band of numbers (H, W).

    Raises:
        UserError: The file cannot be written.
    """
    from tifffile import TiffWriter

    with whole_file(path) as partial, TiffWriter(partial) as file:
        file.write(
            numbers,
            photometric="minisblack",
            compression="adobe_deflate",
            metadata=None,
            extratags=geo_tags(place),
        )


def geo_tags(place: RasterPlace) -> list[tuple[int, int, int, Any, bool]]:
    """Tags that place a raster."""
    (a, b, c), (d, e, f) = place.affine.tolist()
    text = f"{place.name}|"
    if place.epsg is None:
        keys = [(_MODEL_TYPE, 0, 1, _USER_DEFINED)]
    elif place.is_geographic:
        keys = [(_MODEL_TYPE, 0, 1, _GEOGRAPHIC), (_GEODETIC_TYPE, 0, 1, place.epsg)]
    else:
        keys = [(_MODEL_TYPE, 0, 1, _PROJECTED), (_PROJECTED_TYPE, 0, 1, place.epsg)]
    keys += [(_RASTER_TYPE, 0, 1, _PIXEL_IS_AREA), (_CITATION, _IN_TEXT, len(text), 0)]
    numbers = [1, 1, 0, len(keys), *(number for key in sorted(keys) for number in key)]
    matrix = [a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    return [
        (_MODEL_TRANSFORMATION, _DOUBLE, 16, matrix, True),
        (_GEO_KEYS, _SHORT, len(numbers), numbers, True),
        (_GEO_ASCII, _ASCII, 0, text, True),
    ]


def _full_tiles(size_px: tuple[int, int], tile: Callable[[int, int], Image | None], reduction: int) -> Iterator[Image]:
    """Tiles of full size, row by row, red first, of a copy that is reduced by a factor."""
    width_px, height_px = (-(-side // reduction) for side in size_px)
    for row in range(-(-height_px // TILE_PX)):
        for column in range(-(-width_px // TILE_PX)):
            full = np.zeros((TILE_PX, TILE_PX, 4), np.uint8)
            step = TILE_PX // reduction
            for inner_row in range(reduction):
                for inner_column in range(reduction):
                    source = _existing(tile, size_px, row * reduction + inner_row, column * reduction + inner_column)
                    if source is None:
                        continue
                    part = reduced(source, reduction)
                    top, left = inner_row * step, inner_column * step
                    full[top : top + part.shape[0], left : left + part.shape[1]] = part
            yield full[..., [2, 1, 0, 3]]


def _existing(
    tile: Callable[[int, int], Image | None], size_px: tuple[int, int], row: int, column: int
) -> Image | None:
    return tile(row, column) if row * TILE_PX < size_px[1] and column * TILE_PX < size_px[0] else None


def reduced(picture: Image, factor: int) -> Image:
    """A picture (H, W, 4) with opacity, reduced by a factor; the sizes are rounded up."""
    if factor == 1:
        return picture
    height_px, width_px = (-(-side // factor) for side in picture.shape[:2])
    padded = np.zeros((height_px * factor, width_px * factor, 4), np.float32)
    padded[: picture.shape[0], : picture.shape[1]] = picture
    padded[..., :3] *= padded[..., 3:] / 255.0
    small = cv2.resize(padded, (width_px, height_px), interpolation=cv2.INTER_AREA)
    colours = small[..., :3] * (255.0 / np.maximum(small[..., 3:], 1.0))
    small = np.concatenate([colours, small[..., 3:]], axis=2)
    return np.clip(np.round(small), 0, 255).astype(np.uint8)
