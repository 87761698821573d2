# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Public detector of cracks in single images."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.backends.protocol import InferenceFailed
from crack_perception.recognition.backends.selection import AUTO, open_backend
from crack_perception.recognition.cracks import Cracks, cracks_of
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.measurement import RegionMeasurement
from crack_perception.recognition.models import load_model
from crack_perception.recognition.reading_scale import gsd_problem
from crack_perception.recognition.severity import SeverityScale
from crack_perception.recognition.tile_verdict import strongest_tile
from crack_perception.vision.images.files import as_picture


class CrackDetector:
    """Detects cracks in single images and measures their lines and widths.

    Open one detector and call it for every image: loading the model takes far longer than a call. Calls are stateless:
    the result depends only on the image. One detector may be used from several threads; inference then runs in one of
    them at a time. ``crack_node`` and the command line use the same code.

    Args:
        model: Name of a shipped model, ``standard`` (most accurate), ``medium`` or ``nano`` (fastest), or a folder
            with ``card.json``.
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
        >>> detector.score("wall.jpg") > detector.threshold
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
            image: BGR (H, W, 3) uint8, BGRA (H, W, 4) uint8, grey (H, W) uint8, or the path of an image file, whose
                orientation tag is applied. Pixels that are transparent, or masked in a ``numpy.ma.MaskedArray``, hold
                no data.
            gsd_mm_per_px: Ground sampling distance [mm/px]: size of a pixel on the surface, that is 1000 times the
                distance [m] divided by the focal length [px]. Without it, widths in millimetres are ``nan`` and the
                severity is ``undetermined``. Images of 0.125 mm/px or finer are reduced by a whole number, to at most
                0.25 mm/px, before they are tiled; results are in pixels of the given image.

        Raises:
            UserError: The file cannot be read, the array is not an image, the ground sampling distance is not
                from 0.001 to 100 mm/px, or the backend failed.
        """
        _check_gsd(gsd_mm_per_px)
        picture = as_picture(image)
        frame = picture.pixels
        with self._running():
            detector = FrameDetector(self._model, self._backend, self._overlap, self._threshold, second_look=True)
            found = detector.detect(frame, has_data=picture.has_data, gsd_mm_per_px=gsd_mm_per_px)
        return cracks_of(RegionMeasurement().measure(frame, found.grid, found.regions), self._scale, gsd_mm_per_px)

    def score(
        self, image: npt.NDArray[np.uint8] | str | os.PathLike[str], *, gsd_mm_per_px: float | None = None
    ) -> float:
        """Return the crack score of an image, 0 to 1: the highest one of its tiles, also below ``threshold``.

        It is the ``crack_score`` of ``crack_perception score``. Unlike a call of the detector, it scores every tile
        once and measures nothing.

        Args:
            image: As for a call.
            gsd_mm_per_px: As for a call.

        Raises:
            UserError: As for a call, or all of the image is without data.
        """
        _check_gsd(gsd_mm_per_px)
        picture = as_picture(image)
        with self._running():
            detector = FrameDetector(self._model, self._backend, self._overlap, self._threshold)
            return strongest_tile(detector, picture.pixels, self._scale, gsd_mm_per_px, picture.has_data).crack_score

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

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Run the backend in one thread at a time; its failure is a UserError, as all errors of the public API."""
        with self._lock:
            try:
                yield
            except InferenceFailed as error:
                remedy = "Open a new detector; if it happens again, give backend='onnxruntime'"
                raise UserError(f"the backend {self._backend.description} failed ({error})", remedy) from error

    def __enter__(self) -> CrackDetector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_gsd(gsd_mm_per_px: float | None) -> None:
    """Raise a UserError unless the ground sampling distance is plausible or unknown."""
    if gsd_mm_per_px is not None and (problem := gsd_problem(gsd_mm_per_px)):
        raise UserError(f"gsd_mm_per_px is {gsd_mm_per_px}, {problem}", "Give None if it is unknown")
