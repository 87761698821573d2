# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception map-photos``: crack map from a folder of photographs with poses."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from crack_perception.cli.common import add_preset_argument, print_progress
from crack_perception.errors import UsageError, without_control

HELP = "map the cracks in a folder of photographs with poses (DJI tags, CSV, COLMAP, OpenDroneMap, Metashape, ...)"

_BAR_CELLS = 30
_LINE_INTERVAL_S, _BAR_INTERVAL_S = 5.0, 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the photographs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder; a run goes on there")
    parser.add_argument("--recursive", action="store_true", help="include subfolders")
    poses = parser.add_argument_group("poses")
    poses.add_argument(
        "--poses",
        type=Path,
        metavar="PATH",
        help="CSV table, COLMAP model, shots.geojson of OpenDroneMap, XML of Metashape or ContextCapture (default: "
        "one of these near the photographs, else their EXIF and XMP tags)",
    )
    poses.add_argument(
        "--camera",
        type=Path,
        metavar="FILE",
        help="calibration (YAML of camera_calibration) where the poses give none (default: from the tags)",
    )
    poses.add_argument(
        "--scale", type=float, default=1.0, metavar="M", help="metres per unit of poses and surface (default: 1)"
    )
    poses.add_argument(
        "--align",
        action="store_true",
        help="scale, turn and place the poses (and the surface) of another frame by the positions in the tags",
    )
    poses.add_argument(
        "--origin",
        metavar="A,B,C",
        help="origin of the map: latitude, longitude and height for places on the earth, else x, y, z of the poses "
        "(default: the first photograph, or zero)",
    )
    poses.add_argument(
        "--altitude",
        choices=("auto", "absolute", "relative"),
        default="auto",
        help="height of DJI's tags that is used; auto: absolute with RTK, else that above the take-off, in "
        "the same datum (default: %(default)s)",
    )
    surface = parser.add_argument_group("surface", "in the coordinates of the poses, or east, north, up at the origin")
    surface.add_argument(
        "--surface",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="planes and settings (YAML, parameters of the node: map_planes.*, surface, standoff_m), or a point cloud "
        "or mesh (PLY, OBJ, LAS, LAZ, XYZ); may be given once for each",
    )
    surface.add_argument(
        "--standoff", type=float, metavar="M", help="distance to the surface where nothing else gives one"
    )
    model = parser.add_argument_group("detection")
    model.add_argument("--model", default="standard", help="name of a shipped model or folder (default: %(default)s)")
    model.add_argument("--backend", default="auto", help="inference backend (default: %(default)s)")
    model.add_argument("--threshold", type=float, help="crack score of a cracked tile (default: that of the model)")
    add_preset_argument(model)
    result = parser.add_argument_group("map")
    result.add_argument(
        "--confirm-views",
        type=int,
        default=2,
        metavar="N",
        help="photographs that must show a crack before it is confirmed (default: %(default)s)",
    )
    result.add_argument(
        "--evidence-mb",
        type=float,
        default=1000.0,
        metavar="MB",
        help="limit for photographs of cracks; 0: none (1000)",
    )
    result.add_argument("--title", default="Crack map", help="title of the plan (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="processes; 0: one a core (default: 0)")


def run(arguments: argparse.Namespace) -> int:
    """Map the photographs; 1 if some were not used that should be usable."""
    from crack_perception.cli.main import EXIT_DONE, EXIT_PROBLEM
    from crack_perception.photographs.mapping_run import SUMMARY, MappingOptions, map_photographs, problems
    from crack_perception.photographs.recording import RecordingOptions
    from crack_perception.recognition.models import model_directory

    model_directory(arguments.model)
    if arguments.threshold is not None and not 0 < arguments.threshold < 1:
        raise UsageError(f"--threshold {arguments.threshold} is not a score between 0 and 1")
    if not 0 <= arguments.evidence_mb <= 1e6:
        raise UsageError(f"--evidence-mb {arguments.evidence_mb:g} is out of range", "Give megabytes, 0 for none")
    if arguments.confirm_views < 1:
        raise UsageError(f"--confirm-views {arguments.confirm_views} is out of range", "Give 1 or more")
    options = MappingOptions(
        folder=arguments.folder,
        out=arguments.out,
        recording=RecordingOptions(
            poses=arguments.poses,
            scale=arguments.scale,
            origin=None if arguments.origin is None else _origin(arguments.origin),
            altitude=arguments.altitude,
            camera=arguments.camera,
            recursive=arguments.recursive,
            align=arguments.align,
        ),
        surface=tuple(arguments.surface),
        standoff_m=arguments.standoff,
        model=arguments.model,
        backend=arguments.backend,
        threshold=arguments.threshold,
        preset=arguments.preset,
        evidence_bytes=round(1e6 * arguments.evidence_mb),
        confirm_views=arguments.confirm_views,
        jobs=arguments.jobs,
        title=arguments.title,
    )
    bar = _Bar()
    try:
        summary = map_photographs(options, bar.line, bar)
    except KeyboardInterrupt:
        bar.line(f"Finished photographs are kept in {arguments.out}. Run the same command again to continue")
        raise
    states = summary["states"]
    print(
        f"{summary['cracks']} cracks ({states['confirmed']} confirmed), {summary['length_m']:.2f} m, from "
        f"{summary['mapped']} of {summary['photographs']} photographs"
    )
    print(without_control(f"map        {summary['map']}"))
    print(without_control(f"summary    {arguments.out / SUMMARY}"))
    return EXIT_PROBLEM if problems(summary) else EXIT_DONE


def _origin(text: str) -> tuple[float, float, float]:
    try:
        first, second, third = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(f"--origin {text} is not three numbers", "For example --origin=48.137,11.575,520.0") from error
    return first, second, third


class _Bar:
    """Progress on stderr: a bar on a terminal, else a line every few seconds."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._first: tuple[float, int] | None = None
        self._shown_s = 0.0
        self._has_bar = False

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        self._end_bar()
        print_progress(text)

    def __call__(self, done: int, total: int) -> None:
        now_s = time.monotonic()
        self._first = self._first or (now_s, done)
        interval_s = _BAR_INTERVAL_S if self._is_terminal else _LINE_INTERVAL_S
        if done < total and now_s - self._shown_s < interval_s:
            return
        self._shown_s = now_s
        since_s, before = self._first
        left = f", {(now_s - since_s) / (done - before) * (total - done):.0f} s left" if before < done < total else ""
        text = f"{done} of {total} photographs{left}"
        if not self._is_terminal:
            print_progress(text)
            return
        cells = round(_BAR_CELLS * done / max(total, 1))
        print(f"\r\033[K[{'#' * cells}{'.' * (_BAR_CELLS - cells)}] {text}", end="", file=sys.stderr, flush=True)
        self._has_bar = True
        if done >= total:
            self._end_bar()

    def _end_bar(self) -> None:
        if self._has_bar:
            print(file=sys.stderr, flush=True)
            self._has_bar = False
