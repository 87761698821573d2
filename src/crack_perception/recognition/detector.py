# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Public detector of cracks in single images."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.backends.selection import AUTO, open_backend
from crack_perception.recognition.cracks import Cracks, cracks_of
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.measurement import RegionMeasurement
from crack_perception.recognition.models import load_model
from crack_perception.recognition.severity import SeverityScale
from crack_perception.vision.images.files import Picture, read_masked_picture, to_bgr


class CrackDetector:
    """Detects cracks in single images and measures their lines and widths.

    Calls are stateless: the result depends only on the image. One detector may be used from several threads; inference
    then runs in one of them at a time. ``crack_node`` and the command line use the same private classes:
    ``FrameDetector``, which in the node also schedules tiles over several frames and can stop at a deadline, and
    ``RegionMeasurement``.

    Args:
        model: Name of a shipped model, ``standard`` (more accurate) or ``nano`` (faster), or a folder with
            ``card.json``.
        backend: What runs the model: ``auto`` (the fastest that is installed), ``onnxruntime``, ``openvino`` or
            ``tensorrt``.
        threads: Threads of the backend; 0 uses all cores, at most two.
        threshold: Crack score from which a tile is cracked, 0 to 1 exclusive; None uses the model's own.
        tile_overlap: Least share of a tile that neighbouring tiles have in common, 0 to 0.9.
        severity: Severity classes: the name of a preset (``gb50204``, ``fine``, ``aci224r``, ``ec2``, ``aashto``), or
            ascending class edges [mm].
        severity_confidence: Probability that a class needs, 0.5 to below 1; otherwise ``undetermined``.

    Raises:
        UserError: Unknown model, backend or preset, a damaged model, or a number out of its range.

    Examples:
        >>> from crack_perception import CrackDetector
        >>> detector = CrackDetector("nano")
        >>> cracks = detector("wall.jpg", gsd_mm_per_px=0.4)
        >>> cracks.boxes.shape[1], cracks.severity_labels
        (5, ('minor', 'obvious'))
        >>> set(cracks.severity) <= {"minor", "obvious", "undetermined"}
        True
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "standard",
        *,
        backend: str = AUTO,
        threads: int = 0,
        threshold: float | None = None,
        tile_overlap: float = 0.0,
        severity: str | Sequence[float] = "gb50204",
        severity_confidence: float = 0.9,
    ) -> None:
        if threads < 0:
            raise UserError(f"threads is {threads}", "Give 0 for the default, or a positive number")
        if threshold is not None and not 0 < threshold < 1:
            raise UserError(f"threshold is {threshold}, not a score between 0 and 1", "Give None for the model's own")
        if not 0 <= tile_overlap <= 0.9:
            raise UserError(f"tile_overlap is {tile_overlap}", "Give a share from 0 to 0.9")
        scale = (
            SeverityScale.of_preset(severity, severity_confidence)
            if isinstance(severity, str)
            else SeverityScale(tuple(map(float, severity)), severity_confidence)
        )
        self._model = load_model(os.fspath(model))
        self._backend = open_backend(backend, self._model, threads)
        self._scale = scale
        self._threshold = self._model.threshold if threshold is None else threshold
        self._overlap = tile_overlap
        self._lock = threading.Lock()

    def __call__(
        self, image: npt.NDArray[np.uint8] | str | os.PathLike[str], *, gsd_mm_per_px: float | None = None
    ) -> Cracks:
        """Detect the cracks of an image.

        Args:
            image: BGR (H, W, 3) uint8, grey (H, W) uint8, or the path of an image file.
            gsd_mm_per_px: Ground sampling distance [mm/px]: size of a pixel on the surface. Without it, widths in
                millimetres are ``nan`` and the severity is ``undetermined``. Images with less than half of
                ``TILE_GSD_MM`` are reduced to that scale before they are tiled.

        Raises:
            UserError: The file cannot be read, the array is not an image, or the ground sampling distance is not
                positive.
            InferenceFailed: The backend failed.
        """
        if gsd_mm_per_px is not None and not (math.isfinite(gsd_mm_per_px) and gsd_mm_per_px > 0):
            raise UserError(
                f"gsd_mm_per_px is {gsd_mm_per_px}, not a positive number of millimetres", "Give None if it is unknown"
            )
        picture = _picture(image)
        frame = picture.pixels
        with self._lock:
            detector = FrameDetector(self._model, self._backend, self._overlap, self._threshold, second_look=True)
            found = detector.detect(frame, has_data=picture.has_data, gsd_mm_per_px=gsd_mm_per_px)
        return cracks_of(RegionMeasurement().measure(frame, found.grid, found.regions), self._scale, gsd_mm_per_px)

    @property
    def model_name(self) -> str:
        """Name of the model in its card."""
        return self._model.name

    @property
    def backend(self) -> str:
        """What runs the model, for example ``onnxruntime 1.20.1 CPUExecutionProvider``."""
        return self._backend.description

    @property
    def threshold(self) -> float:
        """Crack score from which a tile is cracked."""
        return self._threshold

    @property
    def severity_labels(self) -> tuple[str, ...]:
        """Severity classes, slightest first."""
        return self._scale.labels

    def close(self) -> None:
        """Free what the backend holds; the detector cannot be used afterwards."""
        with self._lock:
            self._backend.close()

    def __enter__(self) -> CrackDetector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _picture(image: npt.NDArray[np.uint8] | str | os.PathLike[str]) -> Picture:
    """Return the image as BGR (H, W, 3) uint8, C-contiguous, with its no-data pixels if it is a file.

    Raises:
        UserError: It cannot be read, or is no 8-bit image.
    """
    if isinstance(image, str | os.PathLike):
        return read_masked_picture(Path(image))
    remedy = "Give a BGR image (H, W, 3) of uint8, or the path of an image file"
    if not isinstance(image, np.ndarray):
        raise UserError(f"an object of type {type(image).__name__} is not an image", remedy)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or not image.size:
        raise UserError(f"an array of {image.dtype} {image.shape} is not an 8-bit image", remedy)
    try:
        return Picture(np.ascontiguousarray(to_bgr(image)))
    except ValueError as error:
        raise UserError(str(error), remedy) from error
