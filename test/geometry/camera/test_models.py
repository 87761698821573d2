# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Camera models against their published formulas, and rays against projections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crack_perception.errors import UserError
from crack_perception.geometry.camera.models import CameraModel

WIDTH_PX, HEIGHT_PX = 1920, 1080
K = [1000.0, 0.0, 950.0, 0.0, 1010.0, 545.0, 0.0, 0.0, 1.0]

LENSES: dict[str, tuple[str, list[float]]] = {
    "pinhole": ("", []),
    "pinhole of a driver that sends zeros": ("", [0.0] * 5),
    "plumb_bob 4": ("plumb_bob", [-0.1, 0.02, 1e-3, -5e-4]),
    "plumb_bob 5": ("plumb_bob", [-0.28, 0.09, 1e-3, -5e-4, -0.01]),
    "pincushion": ("plumb_bob", [0.35, 0.1, 0.0, 0.0, 0.0]),
    "rational 8": ("rational_polynomial", [0.5, -0.2, 1e-3, 1e-3, 0.05, 0.8, -0.1, 0.02]),
    "thin prism 12": ("rational_polynomial", [0.5, -0.2, 1e-3, 1e-3, 0.05, 0.8, -0.1, 0.02, 1e-3, 1e-4, -1e-3, 2e-4]),
    "tilted 14": (
        "rational_polynomial",
        [0.5, -0.2, 1e-3, 1e-3, 0.05, 0.8, -0.1, 0.02, 1e-3, 1e-4, -1e-3, 2e-4, 0.01, -0.02],
    ),
    "fisheye": ("equidistant", [-0.02, 0.005, -0.001, 0.0002]),
    "ideal fisheye": ("fisheye", [0.0, 0.0, 0.0, 0.0]),
}
POINTS_M = np.array([[0.0, 0.0, 2.0], [0.7, -0.3, 1.5], [-1.2, 0.6, 1.9], [0.05, 0.4, 0.6], [1.5, 0.9, 2.5]])


def camera(lens: str, k: Sequence[float] = K) -> CameraModel:
    model, coefficients = LENSES[lens]
    return CameraModel.of(WIDTH_PX, HEIGHT_PX, k, coefficients, model)


def brown_conrady(x: float, y: float, d: Sequence[float]) -> tuple[float, float]:
    """Distorted image coordinates, as in OpenCV's documentation of calib3d."""
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, tau_x, tau_y = [*d, *[0.0] * (14 - len(d))]
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    x_distorted = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + s1 * r2 + s2 * r2**2
    y_distorted = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + s3 * r2 + s4 * r2**2
    about_x = np.array([[1, 0, 0], [0, np.cos(tau_x), np.sin(tau_x)], [0, -np.sin(tau_x), np.cos(tau_x)]])
    about_y = np.array([[np.cos(tau_y), 0, -np.sin(tau_y)], [0, 1, 0], [np.sin(tau_y), 0, np.cos(tau_y)]])
    tilt = about_y @ about_x
    on_sensor = np.array([[tilt[2, 2], 0, -tilt[0, 2]], [0, tilt[2, 2], -tilt[1, 2]], [0, 0, 1]]) @ tilt
    u, v, w = on_sensor @ [x_distorted, y_distorted, 1.0]
    return u / w, v / w


def kannala_brandt(x: float, y: float, d: Sequence[float]) -> tuple[float, float]:
    """Distorted image coordinates of the equidistant fisheye with four coefficients."""
    r = np.hypot(x, y)
    theta = np.arctan(r)
    distorted = theta * (1 + sum(c * theta ** (2 * i) for i, c in enumerate(d, start=1)))
    scale = distorted / r if r > 0 else 1.0
    return x * scale, y * scale


@pytest.mark.parametrize("lens", LENSES)
def test_project_any_lens_matches_formula(lens: str) -> None:
    model, coefficients = LENSES[lens]
    distort = kannala_brandt if model in ("equidistant", "fisheye") else brown_conrady
    plane = POINTS_M[:, :2] / POINTS_M[:, 2:]
    distorted = np.array([distort(x, y, coefficients) for x, y in plane])
    pixels = distorted * [K[0], K[4]] + [K[2], K[5]]
    assert camera(lens).project(POINTS_M) == pytest.approx(pixels, abs=1e-6)


@pytest.mark.parametrize("lens", LENSES)
@settings(deadline=None, max_examples=30)
@given(x=st.floats(-0.5, WIDTH_PX - 0.5), y=st.floats(-0.5, HEIGHT_PX - 0.5), depth_m=st.floats(0.2, 50))
def test_rays_project_back_to_their_pixels(lens: str, x: float, y: float, depth_m: float) -> None:
    model = camera(lens)
    ray = model.rays([[x, y]])
    assert np.linalg.norm(ray) == pytest.approx(1)
    assert model.project(depth_m * ray) == pytest.approx(np.array([[x, y]]), abs=1e-4)
    assert model.normalised([[x, y]])[0] == pytest.approx(ray[0, :2] / ray[0, 2])


@pytest.mark.parametrize("lens", ["plumb_bob 4", "pincushion", "rational 8", "thin prism 12", "tilted 14"])
def test_rays_corners_of_wide_lens_are_exact(lens: str) -> None:
    wide = camera(lens, [500.0, 0.0, 950.0, 0.0, 505.0, 545.0, 0.0, 0.0, 1.0])
    corners = np.array([[0, 0], [WIDTH_PX - 1, 0], [0, HEIGHT_PX - 1], [WIDTH_PX - 1, HEIGHT_PX - 1]], float)
    assert wide.project(wide.rays(corners)) == pytest.approx(corners, abs=1e-4)


def test_rays_pinhole_matches_hand_calculation() -> None:
    model = camera("pinhole")
    assert model.normalised([[950, 545], [1950, 545], [950, 40]]) == pytest.approx(
        np.array([[0, 0], [1, 0], [0, -0.5]])
    )
    assert model.rays([[1950.0, 545.0]])[0] == pytest.approx([np.sqrt(0.5), 0, np.sqrt(0.5)])
    assert model.focal_px == pytest.approx(np.sqrt(1000 * 1010))


def test_rays_ideal_fisheye_matches_hand_calculation() -> None:
    # Equidistant: the distance from the centre is the angle times the focal length.
    model = camera("ideal fisheye")
    ray = model.rays([[950 + 1000 * np.pi / 6, 545]])[0]
    assert ray == pytest.approx([0.5, 0, np.sqrt(0.75)], abs=1e-9)


def test_project_points_at_or_behind_camera_are_nan() -> None:
    for lens in ("plumb_bob 5", "fisheye"):
        pixels = camera(lens).project([[0.1, 0.1, -1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        assert np.isnan(pixels[:2]).all()
        assert pixels[2] == pytest.approx([950, 545])
    assert np.isnan(camera("pinhole").project([[0.0, 0.0, -1.0]])).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("lens", LENSES)
def test_project_overflowing_point_does_not_affect_others(lens: str) -> None:
    pixels = camera(lens).project([[1e300, 1.0, 1.0], [0.0, 0.0, 1.0]])
    assert not WIDTH_PX > pixels[0, 0] >= 0
    assert pixels[1] == pytest.approx(camera(lens).project([[0.0, 0.0, 1.0]])[0])


def test_rays_pixels_without_solution_are_nan() -> None:
    fisheye = camera("ideal fisheye", [300.0, 0.0, 950.0, 0.0, 300.0, 545.0, 0.0, 0.0, 1.0])
    rays = fisheye.rays([[950 + 300 * np.deg2rad(degrees), 545] for degrees in (80, 90, 100, 150)])
    assert rays[0] == pytest.approx([np.sin(np.deg2rad(80)), 0, np.cos(np.deg2rad(80))])
    assert np.isnan(rays[1:]).all()
    # This barrel polynomial turns back at a distorted radius of 0.95: pixels farther out have no
    # solution, although the folded-back polynomial crosses them.
    barrel = CameraModel.of(
        WIDTH_PX, HEIGHT_PX, [400.0, 0, 950, 0, 400, 545, 0, 0, 1], [-0.35, 0.15, 0, 0, -0.03], "plumb_bob"
    )
    beyond = barrel.rays([[x, 545.0] for x in range(1340, 1920, 10)])
    assert np.isnan(beyond).all()
    assert barrel.rays([[950.0, 545.0]])[0] == pytest.approx([0, 0, 1])


@pytest.mark.parametrize("lens", ["pinhole", "plumb_bob 5", "fisheye"])
def test_rays_no_pixels_returns_empty(lens: str) -> None:
    model = camera(lens)
    assert model.rays(np.empty((0, 2))).shape == (0, 3)
    assert model.normalised(np.empty((0, 2))).shape == (0, 2)
    assert model.project(np.empty((0, 3))).shape == (0, 2)


@pytest.mark.parametrize("lens", ["pinhole", "plumb_bob 5", "fisheye"])
@pytest.mark.parametrize(
    ("binning", "roi"), [((1, 1), (200, 100, 640, 480)), ((2, 2), (0, 0, 0, 0)), ((4, 2), (100, 60, 800, 400))]
)
def test_windowed_image_shows_the_same_points(
    lens: str, binning: tuple[int, int], roi: tuple[int, int, int, int]
) -> None:
    full = camera(lens)
    window = full.windowed(*binning, *roi)
    size = np.array([roi[2] or WIDTH_PX, roi[3] or HEIGHT_PX]) // binning
    assert (window.width_px, window.height_px) == tuple(size)
    # Pixel (i, j) of the sent image averages the full pixels from roi + binning * (i, j) on.
    sent = np.array([[0, 0], [7, 3], size - 1])
    centres = np.array(roi[:2]) + sent * binning + (np.array(binning) - 1) / 2
    assert window.rays(sent) == pytest.approx(full.rays(centres), abs=1e-9)
    assert window.project(full.rays(centres)) == pytest.approx(sent, abs=1e-4)


def test_windowed_zeros_mean_whole_image() -> None:
    window = camera("plumb_bob 5").windowed(0, 0, 0, 0, 0, 0)
    assert (window.width_px, window.height_px) == (WIDTH_PX, HEIGHT_PX)
    assert window.k == pytest.approx(np.reshape(K, (3, 3)))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"width_px": 0}, "empty image size 0x1080"),
        ({"height_px": 0}, "empty image size 1920x0"),
        ({"k": [0.0] * 9}, "not calibrated"),
        ({"k": [-1000.0, *K[1:]]}, "not calibrated"),
        ({"k": [*K[:4], np.nan, *K[5:]]}, "not calibrated"),
        ({"d": [np.nan] * 5}, "not numbers"),
        ({"d": [0.1] * 6}, "'plumb_bob' but has 6 coefficients"),
        ({"distortion_model": "equidistant"}, "'equidistant' but has 5 coefficients"),
        ({"distortion_model": "kannala"}, "unknown distortion model 'kannala'"),
        ({"distortion_model": ""}, "unknown distortion model ''"),
    ],
)
def test_of_unusable_camera_info_is_refused_with_remedy(change: dict[str, object], problem: str) -> None:
    good = {"width_px": WIDTH_PX, "height_px": HEIGHT_PX, "k": K, "d": [0.1] * 5, "distortion_model": "plumb_bob"}
    CameraModel.of(**good)
    with pytest.raises(UserError, match=problem) as caught:
        CameraModel.of(**{**good, **change})
    assert caught.value.remedy


@pytest.mark.parametrize("lens", ["plumb_bob 5", "fisheye"])
def test_linearised_derivative_matches_finite_differences(lens: str) -> None:
    model = camera(lens)
    plane, jacobian = model.linearised([[950.0, 545.0], [1210.0, 320.0]])
    step = 1e-5
    for axis in (0, 1):
        ahead, behind = (
            model.project(np.column_stack([plane + sign * step * np.eye(2)[axis], np.ones(2)])) for sign in (1, -1)
        )
        assert jacobian[:, :, axis] == pytest.approx((ahead - behind) / (2 * step), rel=1e-4, abs=0.1)
