# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the package: manifest, dependencies and installed files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import crack_perception

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ElementTree.parse(ROOT / "package.xml").getroot()

ROSDEP_KEY_OF_MODULE = {
    "cv2": "python3-opencv",
    "numpy": "python3-numpy",
    "onnxruntime": "python3-onnxruntime-pip",
    "psutil": "python3-psutil",
    "rosbags": "python3-rosbags-pip",
    "yaml": "python3-yaml",
}
"""Imported module -> rosdep key, where the names differ."""

OPTIONAL_MODULES = {
    *("cv_bridge", "joblib", "matplotlib", "onnx", "scipy", "sklearn", "threadpoolctl", "torch"),
    *("ai_edge_litert", "ai_edge_quantizer", "litert_torch"),
    *(
        "ezdxf",
        "fontTools",
        "jinja2",
        "markupsafe",
        "pyproj",
        "shapely",
        "starlette",
        "tifffile",
        "typst",
        "uvicorn",
        "xlsxwriter",
    ),
    *("av", "bondpy", "ffmpeg_image_transport_msgs", "foxglove_msgs", "rerun"),
    *("laspy", "openvino", "px4_msgs", "pycuda", "pyulog", "rawpy", "simplejpeg", "supervision", "tensorrt"),
    *("distributed", "duckdb", "fsspec", "pyarrow"),  # survey
    "geographic_msgs",
    *("backports", "compression", "lz4"),  # come with rosbags, or with Python 3.14
}
"""Imported only where they are installed, or only by the training (extras of pip)."""

FRAME_1080P_BYTES = 1920 * 1080 * 3


def declared(tag: str) -> set[str]:
    return {element.text or "" for element in MANIFEST.findall(tag)}


def external_modules(folder: str) -> set[str]:
    """Top-level modules imported below a folder that are neither the package nor the standard library."""
    names = set()
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"crack_perception"}


def test_manifest_ament_python_format_3() -> None:
    assert MANIFEST.get("format") == "3"
    assert MANIFEST.findtext("export/build_type") == "ament_python"
    assert MANIFEST.findtext("license") == "Apache-2.0"
    assert (ROOT / str(MANIFEST.find("license").get("file"))).is_file()
    # colcon silently ignores a manifest without a valid e-mail address.
    assert re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]+", MANIFEST.find("maintainer").get("email"))


def test_version_same_in_all_files() -> None:
    setup_version = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text(encoding="utf-8"))
    assert setup_version
    assert {MANIFEST.findtext("version"), setup_version[1], crack_perception.__version__} == {setup_version[1]}


def test_manifest_declares_all_imports() -> None:
    needed = {ROSDEP_KEY_OF_MODULE.get(name, name) for name in external_modules("src") - OPTIONAL_MODULES}
    needed |= external_modules("launch")
    assert {"rclpy", "vision_msgs", "launch_ros", "python3-numpy"} <= needed
    assert needed - declared("exec_depend") - declared("depend") == set()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package by setup.py as colcon does, and return the prefix."""
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    folder = tmp_path_factory.mktemp("package")
    prefix = folder / "install"
    command = [
        *(sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(folder)),
        *("build", "--build-base", str(folder / "build")),
        *("install", "--prefix", str(prefix), "--single-version-externally-managed"),
        *("--record", str(folder / "record")),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return prefix


def test_setup_executables_installed_for_ros2_run(installed: Path) -> None:
    assert {path.name for path in (installed / "lib" / "crack_perception").iterdir()} == {
        "crack_mapper",
        "crack_node",
        "crack_perception",
        "px4_transforms",
    }


def test_setup_installs_all_data_files(installed: Path) -> None:
    share = installed / "share" / "crack_perception"
    for folder in ("launch", "config", "models", "rviz"):
        source = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
        source = {path for path in source if "__pycache__" not in path.parts}
        assert source, f"{folder}/ is empty"
        assert {path.relative_to(share) for path in (share / folder).rglob("*") if path.is_file()} == source
    assert (share / "package.xml").is_file()
    assert (installed / "share/ament_index/resource_index/packages/crack_perception").is_file()


def test_setup_installs_all_rooms(installed: Path) -> None:
    package = next(installed.glob("lib/python*/*-packages/crack_perception"))
    sources = {path.relative_to(ROOT / "src" / "crack_perception") for path in (ROOT / "src").rglob("*.py")}
    assert {path.relative_to(package) for path in package.rglob("*.py")} == sources
    assert (package / "py.typed").is_file()


def test_files_of_the_review_page_are_installed(installed: Path) -> None:
    package = next(installed.glob("lib/python*/*-packages/crack_perception"))
    source = ROOT / "src" / "crack_perception"
    page = {
        path.relative_to(source) for path in (source / "desk").rglob("*.*") if path.suffix in (".css", ".html", ".js")
    }
    assert len(page) > 10 and all((package / path).is_file() for path in page)


def test_every_template_is_installed(installed: Path) -> None:
    package = next(installed.glob("lib/python*/*-packages/crack_perception"))
    templates = {path.relative_to(ROOT / "src" / "crack_perception") for path in (ROOT / "src").rglob("templates/*")}
    assert templates
    assert [path for path in sorted(templates) if not (package / path).is_file()] == []


PUBLISHER = f"""
import array, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("large_image_publisher")
publisher = node.create_publisher(Image, "large_image", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
deadline_s = time.monotonic() + 90
while not publisher.get_subscription_count() and time.monotonic() < deadline_s:
    time.sleep(0.05)
message = Image(height=1080, width=1920, step=5760, encoding="bgr8")
message.data = array.array("B", bytes({FRAME_1080P_BYTES}))
deadline_s = time.monotonic() + 60
while publisher.get_subscription_count() and time.monotonic() < deadline_s:
    publisher.publish(message)
    time.sleep(0.1)
"""


@pytest.mark.slow
def test_fast_dds_profile_carries_full_hd_images() -> None:
    rclpy = pytest.importorskip("rclpy", reason="no ROS 2 environment: run scripts/setup")
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    sizes_bytes: list[int] = []
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("large_image_receiver", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, "large_image", lambda message: sizes_bytes.append(len(message.data)), best_effort)
    publisher = subprocess.Popen([sys.executable, "-c", PUBLISHER])
    try:
        # The profile is in the environment of every test; without it about one frame in sixty arrives.
        while len(sizes_bytes) < 20 and publisher.poll() is None:
            executor.spin_once(timeout_sec=0.2)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
        publisher.terminate()
        publisher.wait()
    assert sizes_bytes == [FRAME_1080P_BYTES] * 20
