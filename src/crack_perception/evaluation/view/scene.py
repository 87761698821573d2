# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Rerun as the place where maps, images and poses are shown (extra ``view``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.mapping.export.crack_report import CrackReport, crack_reports
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.recognition.severity import SeverityScale
from crack_perception.vision.annotate import severity_colour
from crack_perception.vision.images.encodings import encode_jpeg

Array = npt.NDArray[np.float64]

_TIME = "time"
_JPEG_QUALITY = 80
# Radii in the scene: of crack lines, of the path [m].
_CRACK_RADIUS_M, _PATH_RADIUS_M = 0.006, 0.004
_AREA_COLOUR = (86, 180, 233)
_PATH_COLOUR = (230, 230, 230)


class Scene:
    """One Rerun recording, saved to a file or sent to a viewer.

    Args:
        out: File to save to (.rrd); None: a viewer is opened.

    Raises:
        UserError: Rerun is not installed, its viewer cannot be started, or the file cannot be written.
    """

    def __init__(self, out: Path | None) -> None:
        try:
            import rerun
        except ImportError as error:
            raise UserError(
                f"Rerun is not installed ({error})", "Install it (pip install rerun-sdk, or the extra 'view')"
            ) from error
        self._rerun: Any = rerun
        self._stream = rerun.RecordingStream("crack_perception")
        try:
            if out is None:
                self._stream.spawn()
            else:
                out.parent.mkdir(parents=True, exist_ok=True)
                self._stream.save(str(out))
        except Exception as error:  # RuntimeError, OSError and others of its compiled part
            where = "its viewer cannot be started" if out is None else f"{out} cannot be written"
            remedy = "Write a file with --out FILE.rrd" if out is None else "Choose another file with --out"
            raise UserError(f"{where} ({error})", remedy) from error
        self._log("map", rerun.ViewCoordinates.RIGHT_HAND_Z_UP, is_static=True)

    def close(self) -> None:
        """Write what is left."""
        self._stream.flush()
        self._stream.disconnect()

    def set_time(self, stamp_ns: int) -> None:
        """Set the time of what follows."""
        self._stream.set_time(_TIME, timestamp=np.datetime64(stamp_ns, "ns"))

    def show_cracks(self, cracks: Sequence[MappedCrack], scale: SeverityScale, is_static: bool = True) -> None:
        """Show the cracks of a map as lines in the colours of their severity, with widths and lengths as labels."""
        if not cracks:
            return
        reports = crack_reports(cracks, scale)
        lines = self._rerun.LineStrips3D(
            [crack.line_m for crack in cracks],
            colors=[_rgb(scale.relative_severity(report.severity.verdict)) for report in reports],
            labels=[crack_label(report) for report in reports],
            radii=_CRACK_RADIUS_M,
            show_labels=len(cracks) <= 50,
        )
        self._log("map/cracks", lines, is_static)

    def show_areas(self, areas_m: Sequence[Array]) -> None:
        """Show outlines (M, 3) of inspected areas."""
        if areas_m:
            closed = [np.vstack([area, area[:1]]) for area in areas_m]
            self._log("map/inspected", self._rerun.LineStrips3D(closed, colors=[_AREA_COLOUR] * len(closed)), True)

    def show_lines(self, name: str, lines_m: Sequence[Array], colours: Sequence[tuple[int, int, int]]) -> None:
        """Show lines (N, 3) at the present time; no line removes the earlier ones."""
        self._log(f"map/{name}", self._rerun.LineStrips3D(list(lines_m), colors=list(colours), radii=_CRACK_RADIUS_M))

    def show_poses(self, name: str, positions_m: Array, quaternions: Array) -> None:
        """Show poses, positions (N, 3) and quaternions (N, 4), as arrows along their forward axes."""
        x, y, z, w = quaternions.T
        forward = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)], axis=1)
        arrows = self._rerun.Arrows3D(origins=positions_m, vectors=0.5 * forward, labels=_numbers(len(positions_m)))
        self._log(f"map/{name}", arrows)

    def show_pose(self, name: str, position_m: Array, quaternion: Array) -> None:
        """Show the pose of the camera, the vehicle or a frame."""
        turn = self._rerun.Quaternion(xyzw=quaternion)
        self._log(f"map/poses/{name}", self._rerun.Transform3D(translation=position_m, quaternion=turn))

    def show_path(self, name: str, vertices_m: Array) -> None:
        """Show the path (N, 3) of a pose as a whole, in place of the one before."""
        # Beside the poses: what is below a pose moves with it.
        path = self._rerun.LineStrips3D([vertices_m], colors=[_PATH_COLOUR], radii=_PATH_RADIUS_M)
        self._log(f"map/paths/{name}", path, True)

    def show_image(self, name: str, image: npt.NDArray[np.uint8]) -> None:
        """Show a BGR image (H, W, 3), compressed."""
        self.show_jpeg(name, encode_jpeg(image, _JPEG_QUALITY).tobytes())

    def show_jpeg(self, name: str, jpeg: bytes) -> None:
        """Show a JPEG."""
        self._log(f"images/{name}", self._rerun.EncodedImage(contents=jpeg, media_type="image/jpeg"))

    def _log(self, path: str, content: Any, is_static: bool = False) -> None:
        self._stream.log(path, content, static=is_static)


def crack_label(report: CrackReport) -> str:
    """Return number, width, length and severity of a crack for its label."""
    width = "" if report.mean_width_mm is None else f", {report.mean_width_mm:.2f} mm"
    return f"crack {report.id}{width}, {report.length_m:.2f} m, {report.severity.verdict}"


def _rgb(severity: float | None) -> tuple[int, int, int]:
    blue, green, red = severity_colour(severity)
    return red, green, blue


def _numbers(count: int) -> list[str]:
    return [str(index + 1) for index in range(count)]
