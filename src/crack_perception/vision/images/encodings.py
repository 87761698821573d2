# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Camera bytes to BGR frames and back: the encodings of sensor_msgs/Image and compressed pictures.

No cv_bridge: its compiled part is tied to one NumPy and OpenCV. Names follow sensor_msgs/image_encodings.hpp.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.images.headers import other_format, read_picture_header
from crack_perception.vision.images.jpeg.decoding import DamagedJpeg, decode_jpeg
from crack_perception.vision.images.jpeg.segments import is_jpeg
from crack_perception.vision.images.samples import SampleScaler

Image = npt.NDArray[np.uint8]
Pixels = npt.NDArray[Any]

MOST_MESSAGE_PIXELS = 1 << 28
"""Pixels of a compressed message that is decoded: more than any camera has, and 0.8 GB when decoded."""


class BadImage(Exception):
    """Raised for bytes that are not the image described by their header; the text gives the fault and the remedy."""


@dataclass(frozen=True)
class _Encoding:
    """How an encoding is stored: channels of ``dtype`` a pixel, and the conversion of 8-bit samples to BGR.

    Attributes:
        planar_rows: Rows of samples for two rows of pixels, where colours lie in planes of their own; 2 else.
    """

    dtype: type[np.generic]
    channels: int
    to_bgr: Callable[[Pixels], Pixels]
    planar_rows: int = 2


def _cv(code: int) -> Callable[[Pixels], Pixels]:
    return lambda image: cv2.cvtColor(image, code)


def _same(image: Pixels) -> Pixels:
    return image


# ITU-R BT.601 in studio range, as OpenCV converts the other YUV encodings: rows of B, G, R by Y, U, V and 1.
_STUDIO_YUV_TO_BGR = np.array(
    [[1.164, 2.018, 0.0, -276.93], [1.164, -0.391, -0.813, 135.488], [1.164, 0.0, 1.596, -222.912]], np.float32
)


def _nv24(image: Pixels) -> Pixels:
    height = len(image) // 3
    luma, chroma = image[:height], image[height:].reshape(height, -1, 2)
    return cv2.transform(np.dstack([luma, chroma]), _STUDIO_YUV_TO_BGR)


# OpenCV names a Bayer pattern by its second row, second column; ROS by its first row, first column.
_BAYER_CODES = {
    "rggb": cv2.COLOR_BayerBG2BGR,
    "bggr": cv2.COLOR_BayerRG2BGR,
    "gbrg": cv2.COLOR_BayerGR2BGR,
    "grbg": cv2.COLOR_BayerGB2BGR,
}

_ENCODINGS: dict[str, _Encoding] = {
    "bgr8": _Encoding(np.uint8, 3, _same),
    "8UC3": _Encoding(np.uint8, 3, _same),
    "rgb8": _Encoding(np.uint8, 3, _cv(cv2.COLOR_RGB2BGR)),
    "bgra8": _Encoding(np.uint8, 4, _cv(cv2.COLOR_BGRA2BGR)),
    "8UC4": _Encoding(np.uint8, 4, _cv(cv2.COLOR_BGRA2BGR)),
    "rgba8": _Encoding(np.uint8, 4, _cv(cv2.COLOR_RGBA2BGR)),
    "mono8": _Encoding(np.uint8, 1, _cv(cv2.COLOR_GRAY2BGR)),
    "8UC1": _Encoding(np.uint8, 1, _cv(cv2.COLOR_GRAY2BGR)),
    "mono16": _Encoding(np.uint16, 1, _cv(cv2.COLOR_GRAY2BGR)),
    "bgr16": _Encoding(np.uint16, 3, _same),
    "rgb16": _Encoding(np.uint16, 3, _cv(cv2.COLOR_RGB2BGR)),
    "bgra16": _Encoding(np.uint16, 4, _cv(cv2.COLOR_BGRA2BGR)),
    "rgba16": _Encoding(np.uint16, 4, _cv(cv2.COLOR_RGBA2BGR)),
    "uyvy": _Encoding(np.uint8, 2, _cv(cv2.COLOR_YUV2BGR_UYVY)),
    "yuyv": _Encoding(np.uint8, 2, _cv(cv2.COLOR_YUV2BGR_YUY2)),
    "nv12": _Encoding(np.uint8, 1, _cv(cv2.COLOR_YUV2BGR_NV12), planar_rows=3),
    "nv21": _Encoding(np.uint8, 1, _cv(cv2.COLOR_YUV2BGR_NV21), planar_rows=3),
    "i420": _Encoding(np.uint8, 1, _cv(cv2.COLOR_YUV2BGR_I420), planar_rows=3),
    "nv24": _Encoding(np.uint8, 1, _nv24, planar_rows=6),
}
_ENCODINGS["yuv422"] = _ENCODINGS["uyvy"]
_ENCODINGS["yuv422_yuy2"] = _ENCODINGS["yuyv"]
for _pattern, _code in _BAYER_CODES.items():
    _ENCODINGS[f"bayer_{_pattern}8"] = _Encoding(np.uint8, 1, _cv(_code))
    _ENCODINGS[f"bayer_{_pattern}16"] = _Encoding(np.uint16, 1, _cv(_code))

SUPPORTED_ENCODINGS = tuple(sorted(_ENCODINGS))

_DEPTH_DTYPES: dict[str, type[np.generic]] = {"16UC1": np.uint16, "mono16": np.uint16, "32FC1": np.float32}


def _rows(
    data: npt.NDArray[np.uint8],
    width_px: int,
    height_px: int,
    step_bytes: int,
    dtype: type[np.generic],
    channels: int,
    is_bigendian: bool,
) -> Pixels:
    """A view (or byte-swapped copy) of shape (height, width[, channels]) that skips the padding of each row."""
    item = np.dtype(dtype).itemsize
    row_bytes = width_px * channels * item
    if width_px < 1 or height_px < 1:
        raise BadImage(f"the image is empty ({width_px}x{height_px}); check the camera driver")
    if step_bytes < row_bytes:
        raise BadImage(
            f"step is {step_bytes} bytes but {width_px} px need {row_bytes}; "
            "the driver's encoding, width or step is wrong"
        )
    # Some drivers leave out the padding of the last row.
    needed = step_bytes * (height_px - 1) + row_bytes
    if data.size < needed:
        raise BadImage(f"the data has {data.size} bytes but {height_px} rows need {needed}; the frame is truncated")
    strides = (step_bytes, channels * item, item)
    if step_bytes % item and item > 1:
        raise BadImage(f"step {step_bytes} is not a multiple of the {item}-byte samples")
    flat = data[:needed].view(np.uint8)
    pixels: Pixels = np.ndarray((height_px, width_px, channels), dtype, flat.data, 0, strides)
    if item > 1 and is_bigendian != (sys.byteorder == "big"):
        pixels = pixels.byteswap()
    return pixels[:, :, 0] if channels == 1 else pixels


def decode_raw(
    data: npt.NDArray[np.uint8],
    width_px: int,
    height_px: int,
    step_bytes: int,
    encoding: str,
    is_bigendian: bool = False,
    scaler: SampleScaler | None = None,
) -> Image:
    """Decode a frame to BGR (H, W, 3); a view of ``data`` if no conversion is needed.

    Args:
        data: The message's bytes, shape (n,).
        step_bytes: Bytes from one row to the next, padding included.
        scaler: Of this camera's 16-bit samples; a new one, which knows no frame before this one, when None.

    Raises:
        BadImage: Unsupported encoding, or the size, step and data do not agree.
    """
    kind = _ENCODINGS.get(encoding)
    if kind is None:
        raise BadImage(
            f"encoding '{encoding}' is not supported; set the driver to one of {', '.join(SUPPORTED_ENCODINGS)}"
        )
    if kind.planar_rows > 2:
        if kind.planar_rows % 2 and (height_px % 2 or width_px % 2):
            raise BadImage(f"{encoding} needs even sizes, got {width_px}x{height_px}; check the camera driver")
        rows = height_px * kind.planar_rows // 2
        stored = _rows(data, width_px, rows, step_bytes, kind.dtype, 1, is_bigendian)
        return np.asarray(kind.to_bgr(np.ascontiguousarray(stored)), dtype=np.uint8)
    if encoding in ("uyvy", "yuv422", "yuyv", "yuv422_yuy2") and width_px % 2:
        raise BadImage(f"{encoding} needs an even width, got {width_px}; check the camera driver")
    stored = _rows(data, width_px, height_px, step_bytes, kind.dtype, kind.channels, is_bigendian)
    if kind.dtype is np.uint16:
        stored = (scaler or SampleScaler()).to_8_bit(stored)
    return np.asarray(kind.to_bgr(stored), dtype=np.uint8)


def decode_compressed(data: npt.NDArray[np.uint8], announced: str = "", scaler: SampleScaler | None = None) -> Image:
    """Decode JPEG or PNG bytes to a BGR frame (H, W, 3).

    Args:
        announced: ``format`` of the message. ``bayer_rggb8; jpeg compressed`` means that the picture is the mosaic
            behind a Bayer filter.
        scaler: Of this camera's 16-bit samples; a new one when None.

    Raises:
        BadImage: Empty, damaged, not a picture, too large, or of a kind that is not supported.
    """
    if data.size == 0:
        raise BadImage("the compressed image is empty; check the camera driver")
    encoding = announced.partition(";")[0].strip()
    if "compresseddepth" in announced.lower():
        raise BadImage(f"the image is a depth image ('{announced}'); set the image topic to the camera's")
    flags = cv2.IMREAD_UNCHANGED if encoding.startswith("bayer_") else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    header = read_picture_header(data)
    if header.pixels > MOST_MESSAGE_PIXELS:
        raise BadImage(
            f"the compressed image has {header.pixels / 1e6:.0f} megapixels, more than the "
            f"{MOST_MESSAGE_PIXELS / 1e6:.0f} that are decoded; check the camera driver"
        )
    if header.unusual:
        raise BadImage(f"the compressed image is {header.unusual}; publish JPEGs of 8 bits in RGB or grey")
    if header.damage:
        raise BadImage(f"the {header.format} is damaged: {header.damage}; frames are lost on the way, check the link")
    decoded: Pixels | None = None
    try:
        if header.format:  # nothing checks whether pictures of other formats are whole
            decoded = decode_jpeg(data) if is_jpeg(data) else cv2.imdecode(data, flags)
    except DamagedJpeg as error:
        raise BadImage(f"the JPEG is damaged: {error}; frames are lost on the way, check the link") from error
    except cv2.error as error:
        raise BadImage(f"the compressed image cannot be decoded ({error.err}); use jpeg or png") from error
    if decoded is None:
        kind = f"its format is '{announced}'" if announced else other_format(data) and f"it is {other_format(data)}"
        raise BadImage(
            f"the compressed image cannot be decoded{f', {kind}' if kind else ''}; "
            "publish jpeg or png (image_transport 'compressed')"
        )
    if decoded.dtype == np.uint16:
        decoded = (scaler or SampleScaler()).to_8_bit(decoded)
    elif decoded.dtype != np.uint8:
        raise BadImage(f"the compressed image has {decoded.dtype} samples; publish 8 or 16 bits")
    if encoding.startswith("bayer_"):
        return _demosaiced(decoded, encoding)
    if decoded.ndim == 2:
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    return np.asarray(decoded, dtype=np.uint8)


def _demosaiced(mosaic: Pixels, encoding: str) -> Image:
    """BGR of a compressed mosaic (H, W), or (H, W, 3) of equal channels."""
    kind = _ENCODINGS.get(encoding)
    if kind is None:
        raise BadImage(f"the compressed image is announced as '{encoding}', which is not supported; send bgr8")
    plane = mosaic if mosaic.ndim == 2 else mosaic[..., 0]
    if mosaic.ndim == 3 and not (np.array_equal(plane, mosaic[..., 1]) and np.array_equal(plane, mosaic[..., 2])):
        # The driver or a republisher has demosaiced it already and kept the name of the sensor's encoding.
        return np.asarray(mosaic, dtype=np.uint8)
    return np.asarray(kind.to_bgr(np.ascontiguousarray(plane)), dtype=np.uint8)


def decode_depth(
    data: npt.NDArray[np.uint8],
    width_px: int,
    height_px: int,
    step_bytes: int,
    encoding: str,
    is_bigendian: bool = False,
) -> Pixels:
    """Decode a depth image (H, W) as stored: uint16 for 16UC1, float32 for 32FC1.

    Raises:
        BadImage: Unsupported encoding, or the size, step and data do not agree.
    """
    dtype = _DEPTH_DTYPES.get(encoding)
    if dtype is None:
        raise BadImage(f"depth encoding '{encoding}' is not supported; publish 16UC1 (millimetres) or 32FC1 (metres)")
    return _rows(data, width_px, height_px, step_bytes, dtype, 1, is_bigendian)


def encode_jpeg(image: Image, quality: int) -> npt.NDArray[np.uint8]:
    """Encode a BGR frame as JPEG bytes (n,); quality 1 to 100."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise BadImage(f"a frame of shape {image.shape} could not be encoded as JPEG")
    return np.asarray(data, dtype=np.uint8).ravel()
