"""Reading pictures from disk as BGR frames, with errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.vision.jpeg import is_cut_off

Image = npt.NDArray[np.uint8]


def to_bgr(image: npt.NDArray[np.generic]) -> Image:
    """Any decoded picture, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), 8 or 16 bit, as BGR uint8.

    Raises:
        ValueError: Another shape or depth.
    """
    if image.dtype == np.uint16:
        pixels: Image = (image.astype(np.uint16) >> 8).astype(np.uint8)
    elif image.dtype == np.uint8:
        pixels = image.astype(np.uint8, copy=False)
    else:
        raise ValueError(f"pictures have 8 or 16 bits a channel, got {image.dtype}")
    if pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 1):
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR), dtype=np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return pixels
    raise ValueError(f"a picture has 1, 3 or 4 channels, got shape {pixels.shape}")


def read_picture(path: Path) -> Image:
    """The picture as (H, W, 3) BGR, orientation tag applied.

    Raises:
        UserError: No such file, not a whole picture, or an unusable number of channels.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})", "Check the path") from error
    if is_cut_off(data):
        raise UserError(f"{path}: is a JPEG that is cut off", "Copy it again from its source")
    try:
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) if data.size else None
    except cv2.error as error:
        raise UserError(f"{path}: cannot be decoded ({error.err})", "Use JPEG, PNG, TIFF or BMP") from error
    if decoded is None:
        raise UserError(f"{path}: is not a picture that OpenCV can decode", "Use JPEG, PNG, TIFF or BMP")
    try:
        return to_bgr(decoded)
    except ValueError as error:
        raise UserError(f"{path}: {error}", "Convert it to 8-bit colour") from error
