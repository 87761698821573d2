# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Parameters of crack_mapper: the table that declares, checks and documents them, and the resulting settings."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crack_perception.errors import UserError
from crack_perception.mapping.coverage.coverage import CELL_M
from crack_perception.mapping.export.geographic import GeographicOrigin
from crack_perception.mapping.settings import MapSettings
from crack_perception.paths import user_path
from crack_perception.recognition.severity import SeverityScale
from crack_perception.ros.common.bond import BOND_SPEC
from crack_perception.ros.common.parameter_table import ParameterSpec, ParameterTable
from crack_perception.ros.common.severity_parameters import SEVERITY_SPECS, severity_scale

_MAP = MapSettings()
_ESTIMATED = -1.0
_NO_ORIGIN = [0.0]
_TOPIC_PREFIX = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)

SPECS: tuple[ParameterSpec, ...] = (
    ParameterSpec("autostart", False, "Configure and activate by itself at start, without a lifecycle manager"),
    BOND_SPEC,
    ParameterSpec(
        "sources",
        ["crack_node"],
        "Detecting nodes; SOURCE/detections_3d, crack_points and footprint are mapped, SOURCE/evidence is kept",
    ),
    ParameterSpec("map_frame", "map", "Frame of the map; messages in other frames are refused"),
    ParameterSpec(
        "pairing_timeout_s",
        0.5,
        "Longest wait of detections for the crack points and footprint of their stamp [s]",
        0.01,
        10.0,
    ),
    ParameterSpec(
        "unknown_position_sigma_m",
        0.1,
        "Standard deviation of the position, each axis, of a detection without usable covariance [m]",
        0.001,
        100.0,
        live=True,
    ),
    ParameterSpec(
        "database",
        "",
        "SQLite file that keeps the map across restarts; empty: the map ends with the node",
        start_only=True,
    ),
    ParameterSpec(
        "output_folder", "", "Folder for GeoJSON, CSV, SVG and PNG; empty: beside the database", start_only=True
    ),
    ParameterSpec("plan_title", "Crack map", "Title of the plan, for example the structure's name", live=True),
    ParameterSpec(
        "evidence_max_mb",
        2000.0,
        "Most disk space of photographs [MB]; beyond it the least valuable are removed; 0: no more are received",
        0.0,
        10_000_000.0,
    ),
    ParameterSpec("save_period_s", 0.5, "Longest time before a change is saved in the database [s]", 0.05, 60.0),
    ParameterSpec(
        "save_on_shutdown",
        True,
        "Write GeoJSON and CSV when the node is deactivated or shut down (the plan: crack_perception plan)",
        live=True,
    ),
    ParameterSpec(
        "coverage_cell_m", CELL_M, "Side of the cells of the coverage; saved surfaces keep theirs [m]", 0.02, 5.0
    ),
    ParameterSpec(
        "wanted_width_mm",
        0.3,
        "Crack width that the inspection has to resolve; the coverage and the revisit poses follow from it [mm]",
        0.01,
        100.0,
        live=True,
    ),
    ParameterSpec(
        "revisit_standoff_m", 1.0, "Least distance of revisit poses from the surface [m]", 0.1, 100.0, live=True
    ),
    ParameterSpec("publish_rate_hz", 1.0, "Highest rate at which a changing map is published [Hz]", 0.01, 20.0),
    *SEVERITY_SPECS,
    ParameterSpec(
        "geo_origin",
        _NO_ORIGIN,
        "Latitude and longitude [deg, WGS 84] and height [m] of the map's origin, and heading of its x axis [deg from "
        "north], for GeoJSON in degrees, revisit poses on the earth and the file that places the map; [0.0]: unknown",
    ),
    ParameterSpec("map.step_m", _MAP.step_m, "Distance of the vertices of mapped lines [m]", 0.001, 1.0),
    ParameterSpec("map.min_length_m", _MAP.min_length_m, "Shortest line that is mapped [m]", 0.001, 10.0),
    ParameterSpec(
        "map.error_correlation_s",
        _MAP.error_correlation_s,
        "Time in which the position errors of one source decay to 1/e [s]",
        0.01,
        3600.0,
    ),
    ParameterSpec(
        "map.white_share",
        _ESTIMATED,
        "Share of a position error's variance that is independent from frame to frame; -1 estimates it",
        -1.0,
        1.0,
    ),
    ParameterSpec(
        "map.rotation_sigma_deg",
        math.degrees(_MAP.rotation_sigma_rad),
        "Standard deviation of a view's direction [deg]",
        0.001,
        45.0,
    ),
    ParameterSpec("map.scale_sigma", _MAP.scale_sigma, "Relative standard deviation of a view's scale", 0.0001, 1.0),
    ParameterSpec("map.shape_sigma_m", _MAP.shape_sigma_m, "Standard deviation of a line's shape [m]", 0.0001, 1.0),
    ParameterSpec(
        "map.position_floor_m",
        _MAP.position_floor_m,
        "Smallest standard deviation of a position [m]",
        0.0001,
        1.0,
    ),
    ParameterSpec(
        "map.max_offset_m",
        _MAP.max_offset_m,
        "Largest distance of a line from its mapped crack, whatever the covariances [m]",
        0.01,
        100.0,
    ),
    ParameterSpec(
        "map.max_angle_deg",
        math.degrees(_MAP.max_angle_rad),
        "Largest difference in direction of lines of one crack [deg]",
        1.0,
        89.0,
    ),
    ParameterSpec(
        "map.max_normal_angle_deg",
        math.degrees(_MAP.max_normal_angle_rad),
        "Largest difference in the surface normal of lines of one crack [deg]",
        1.0,
        89.0,
    ),
    ParameterSpec(
        "map.branch_length_m",
        _MAP.branch_length_m,
        "Length from which a branch of a mapped crack becomes a separate crack [m]",
        0.001,
        10.0,
    ),
    ParameterSpec(
        "map.merge_gap_m", _MAP.merge_gap_m, "Largest gap between aligned fragments that are merged [m]", 0.0, 10.0
    ),
    ParameterSpec(
        "map.merge_angle_deg",
        math.degrees(_MAP.merge_angle_rad),
        "Largest bend between fragments that are merged [deg]",
        1.0,
        89.0,
    ),
    ParameterSpec("map.confirm_views", _MAP.confirm_views, "Frames with a crack before it is confirmed", 1, 1000),
    ParameterSpec(
        "map.confirm_span_s",
        _MAP.confirm_span_s,
        "Least time from the first to the last of these frames [s]",
        0.0,
        3600.0,
    ),
    ParameterSpec("map.confirm_score", _MAP.confirm_score, "Existence probability of a confirmed crack", 0.0, 1.0),
    ParameterSpec(
        "map.evidence_interval_s",
        _MAP.evidence_interval_s,
        "Time between frames below which their evidence for a crack is reduced [s]",
        0.001,
        60.0,
    ),
    ParameterSpec(
        "map.detection_probability",
        _MAP.detection_probability,
        "Probability that a frame shows a crack that is in its view",
        0.01,
        0.999,
    ),
    ParameterSpec(
        "map.false_alarm_probability",
        _MAP.false_alarm_probability,
        "Probability that a frame shows a line where there is no crack",
        0.0001,
        0.9,
    ),
    ParameterSpec(
        "map.lost_after_misses",
        _MAP.lost_after_misses,
        "Frames that miss a crack before it is lost",
        1,
        1000,
    ),
    ParameterSpec(
        "map.gsd_tolerance",
        _MAP.gsd_tolerance,
        "Factor on the coarsest resolution at which a crack was observed, up to which frames should show it",
        1.0,
        100.0,
    ),
    ParameterSpec("diagnostics_period_s", 1.0, "Period of the diagnostics [s]", 0.1, 60.0),
)


@dataclass(frozen=True)
class MapperSettings:
    """All parameters of the node, checked and in the units of the core; None for functions that are switched off."""

    sources: tuple[str, ...]
    map_frame: str
    pairing_timeout_s: float
    unknown_position_sigma_m: float
    database: Path | None
    output_folder: Path | None
    plan_title: str
    evidence_max_bytes: int
    save_period_s: float
    save_on_shutdown: bool
    coverage_cell_m: float
    wanted_width_mm: float
    revisit_standoff_m: float
    publish_rate_hz: float
    severity: SeverityScale
    geo_origin: GeographicOrigin | None
    map: MapSettings
    diagnostics_period_s: float

    @property
    def keeps_photographs(self) -> bool:
        """Whether photographs of cracks are stored."""
        return self.database is not None and self.evidence_max_bytes > 0


def _settings_of(values: Mapping[str, Any]) -> MapperSettings:
    sources = tuple(values["sources"])
    if not sources or len(set(sources)) < len(sources):
        raise UserError(f"sources are {list(sources)}", "Name at least one detecting node, each once")
    for source in sources:
        if not _TOPIC_PREFIX.fullmatch(source):
            raise UserError(
                f"sources: '{source}' cannot be the prefix of a topic",
                "Use a node name, for example /drone1/crack_node",
            )
    if not values["map_frame"]:
        raise UserError("map_frame must name a frame")
    database = user_path(values["database"], "database") if values["database"] else None
    if database is not None and database.is_dir():
        raise UserError(f"database is the folder {database}", "Name a file in it, for example crack_map.sqlite")
    if database is not None and any(parent.is_file() for parent in database.parents):
        raise UserError(f"database is {database}, but a part of this path is a file", "Name a file in a folder")
    folder = user_path(values["output_folder"], "output_folder") if values["output_folder"] else None
    if folder is not None and not folder.is_dir() and folder.exists():
        raise UserError(f"output_folder is {folder}, which is not a folder", "Name a folder")
    return MapperSettings(
        sources=sources,
        map_frame=values["map_frame"],
        pairing_timeout_s=values["pairing_timeout_s"],
        unknown_position_sigma_m=values["unknown_position_sigma_m"],
        database=database,
        output_folder=folder or (database.parent if database else None),
        plan_title=values["plan_title"],
        evidence_max_bytes=round(1e6 * values["evidence_max_mb"]),
        save_period_s=values["save_period_s"],
        save_on_shutdown=values["save_on_shutdown"],
        coverage_cell_m=values["coverage_cell_m"],
        wanted_width_mm=values["wanted_width_mm"],
        revisit_standoff_m=values["revisit_standoff_m"],
        publish_rate_hz=values["publish_rate_hz"],
        severity=severity_scale(values),
        geo_origin=_origin(list(values["geo_origin"])),
        map=_map_settings({name[4:]: value for name, value in values.items() if name.startswith("map.")}),
        diagnostics_period_s=values["diagnostics_period_s"],
    )


def _map_settings(values: dict[str, Any]) -> MapSettings:
    """Convert degrees to radians, and a white share of -1 to an estimated one (None)."""
    if values["white_share"] < 0.0:
        if values["white_share"] != _ESTIMATED:
            raise UserError(
                f"map.white_share is {values['white_share']}", "Give a share from 0 to 1, or -1 to estimate it"
            )
        values["white_share"] = None
    for name in [name for name in values if name.endswith("_deg")]:
        values[f"{name[:-4]}_rad"] = math.radians(values.pop(name))
    return MapSettings(**values)


def _origin(numbers: list[float]) -> GeographicOrigin | None:
    if numbers == _NO_ORIGIN:
        return None
    if len(numbers) != 4:
        raise UserError(f"geo_origin is {numbers}", "Give latitude, longitude, height and heading, or [0.0]")
    return GeographicOrigin(*numbers)


TABLE: ParameterTable[MapperSettings] = ParameterTable(SPECS, _settings_of)
