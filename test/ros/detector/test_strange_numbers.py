# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Any numbers in camera_info, ranges and depth give words or plausible results, never an exception."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image, Range, RegionOfInterest
from std_msgs.msg import Header

from crack_perception.errors import UserError
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.ros.common.health import Health
from crack_perception.ros.detector.camera_infos import CameraInfos
from crack_perception.ros.detector.parameters import SPECS, settings_from
from crack_perception.ros.detector.surface_sources import SurfaceSources
from crack_perception.vision.regions import OrientedBox

DEFAULTS = settings_from({spec.name: spec.default for spec in SPECS})
WIDTH_PX, HEIGHT_PX = 64, 48
CAMERA = CameraModel.of(WIDTH_PX, HEIGHT_PX, [60, 0, 31.5, 0, 60, 23.5, 0, 0, 1], [], "")
MIDDLE = OrientedBox(np.array([31.5, 23.5]), 40.0, 30.0, 0.0)
NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 60.0, 31.5, 23.5, 1e-9, 1e9, 1e300, math.nan, math.inf, -math.inf]),
)
SINGLES = st.one_of(st.floats(width=32), st.sampled_from([0.0, 0.1, 1.0, 30.0, 1000.0, 65.535]))
SIZES = st.sampled_from([0, 1, 24, 31, 48, 64, 128, 4096, 2**32 - 1])
MODELS = st.sampled_from(["", "plumb_bob", "rational_polynomial", "equidistant", "fisheye", "crystal_ball"])
USUAL: dict[str, Any] = {
    "width": WIDTH_PX,
    "height": HEIGHT_PX,
    "k": [60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0],
    "d": [-0.1, 0.01, 0.0, 0.0, 0.0],
    "distortion_model": "plumb_bob",
}


def numbers(count: int) -> st.SearchStrategy[list[float]]:
    return st.lists(NUMBERS, min_size=count, max_size=count)


@settings(deadline=None, max_examples=300)
@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "width": SIZES,
            "height": SIZES,
            "k": numbers(9),
            "d": st.lists(NUMBERS, max_size=15),
            "r": numbers(9),
            "p": numbers(12),
            "distortion_model": MODELS,
            "binning_x": SIZES,
            "binning_y": SIZES,
            "roi": st.builds(RegionOfInterest, x_offset=SIZES, y_offset=SIZES, width=SIZES, height=SIZES),
        },
    ),
    one_of_k=st.tuples(st.integers(0, 8), NUMBERS),
    is_rectified=st.booleans(),
)
@pytest.mark.filterwarnings("error")
def test_model_for_any_camera_info_gives_a_model_or_a_reason(
    changes: dict[str, Any], one_of_k: tuple[int, float], is_rectified: bool
) -> None:
    fields = USUAL | changes
    fields["k"] = [*fields["k"]]
    fields["k"][one_of_k[0]] = one_of_k[1]
    infos = CameraInfos(is_rectified, "/camera/image_rect")
    infos.push(CameraInfo(**fields))
    try:
        model = infos.model_for(0, WIDTH_PX, HEIGHT_PX)
    except UserError as error:
        assert error.problem and error.remedy
        return
    assert all(doubt.endswith(("?", "file", "rectified")) for doubt in infos.warnings)
    assert 0.05 * WIDTH_PX / max(fields.get("binning_x", 1), 1) <= model.focal_px <= 200.0 * 2**32
    rays = model.rays([[0.0, 0.0], [31.5, 23.5], [63.0, 47.0]])
    lengths = np.linalg.norm(rays, axis=1)
    assert np.all(np.isnan(lengths) | (np.abs(lengths - 1.0) < 1e-6))


@settings(deadline=None, max_examples=200)
@given(
    readings=st.lists(st.tuples(SINGLES, SINGLES, SINGLES, SINGLES), min_size=1, max_size=4),
    depth=st.one_of(
        st.none(), st.tuples(st.sampled_from(["32FC1", "16UC1"]), st.lists(SINGLES, min_size=6, max_size=6))
    ),
)
@pytest.mark.filterwarnings("error")
def test_surface_at_any_range_and_depth_gives_a_plausible_plane_or_a_reason(
    readings: list[tuple[float, float, float, float]], depth: tuple[str, list[float]] | None
) -> None:
    health = Health(lambda text: None)
    sources = SurfaceSources(DEFAULTS, health)
    for index, (range_m, low, high, beam) in enumerate(readings):
        header = Header(stamp=Time(sec=10, nanosec=10_000_000 * index))
        sources.push_range(Range(header=header, range=range_m, min_range=low, max_range=high, field_of_view=beam))
    if depth is not None:
        encoding, values = depth
        dtype = np.float32 if encoding == "32FC1" else np.uint16
        with np.errstate(all="ignore"):
            stored = np.resize(np.nan_to_num(values, nan=0.0, posinf=65535, neginf=0), (HEIGHT_PX, WIDTH_PX))
            stored = (stored if dtype is np.float32 else np.clip(stored, 0, 65535)).astype(dtype)
        message = Image(header=Header(stamp=Time(sec=10)), height=HEIGHT_PX, width=WIDTH_PX, encoding=encoding)
        message.step = WIDTH_PX * stored.itemsize
        message.data.frombytes(stored.tobytes())
        sources.push_depth(message)
    plane = sources.surface_at(10 * 10**9, CAMERA, None, DEFAULTS).plane_under(MIDDLE)
    if plane is None:
        assert health.counts()
        return
    # A plane through scattered samples may lie a little beyond them.
    assert 0.02 <= plane.range.range_m <= 1.1 * DEFAULTS.max_range_m
    assert 1000.0 * plane.range.range_m / CAMERA.focal_px <= DEFAULTS.max_gsd_mm_per_px
    assert plane.range.sigma_m > 0
