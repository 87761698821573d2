# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Build of the ament_python package; also installable with plain pip."""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = "crack_perception"
SHARE = f"share/{NAME}"


def tree(folder: str) -> list[tuple[str, list[str]]]:
    """Every file below a folder, as (install directory, files) pairs."""
    directories = sorted({path.parent for path in Path(folder).rglob("*") if path.is_file()})
    return [
        (f"{SHARE}/{directory.as_posix()}", [path.as_posix() for path in sorted(directory.iterdir()) if path.is_file()])
        for directory in directories
    ]


# The oldest versions here are tested: scripts/requirements/oldest.txt.
DESK = ["jinja2>=3.1", "starlette>=0.40", "uvicorn>=0.30"]
# shapely: union of the inspected areas, strips along cracks. tifffile: GeoTIFF of orthophotos, in pure Python.
REPORT = [
    "ezdxf>=1.1",
    "jinja2>=3.1",
    "pyproj>=3.4",
    "shapely>=2.0",
    "tifffile>=2023.2.3",
    "typst>=0.15",
    "xlsxwriter>=3.1",
]
VIDEO = ["av>=14.0"]
VIEW = ["rerun-sdk>=0.24", "rosbags>=0.11"]
# Compressed point clouds (LAZ) as the surface of map-photos.
PHOTOGRAPHS = ["laspy[lazrs]>=2.5"]
ULOG = ["pyulog>=1.0"]
CLUSTER = ["distributed>=2024.5"]
REPLAY = ["backports.zstd>=1.0; python_version < '3.14'", "lz4>=4", "psutil>=5.9", "rosbags>=0.11"]
SURVEY = ["duckdb>=1.2", "fsspec>=2024.2", "jinja2>=3.1", "pyarrow>=16", *REPLAY]

setup(
    name=NAME,
    version="0.2.0",
    packages=find_packages("src"),
    package_dir={"": "src"},
    package_data={
        NAME: [
            "py.typed",
            "desk/static/*",
            "desk/templates/*",
            "report/document/templates/*",
            "survey/templates/*",
            "training/evaluation/readings.csv",
        ]
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml"]),
        (f"{SHARE}/launch", glob("launch/*.launch.py")),
        *tree("config"),
        *tree("models"),
        *tree("rviz"),
    ],
    python_requires=">=3.10",
    # Console scripts of an old setuptools check these by distribution name when they start, so only what a
    # distribution's own packages provide under that name may stand here.
    install_requires=["setuptools", "numpy>=1.21.5", "PyYAML>=5.4"],
    extras_require={
        # simplejpeg reports damaged JPEGs, which OpenCV decodes without an error. It is optional at run time.
        "runtime": ["onnxruntime>=1.16", "opencv-python-headless>=4.6", "simplejpeg>=1.7"],
        # A survey on the workers of a Dask cluster; beside the extra survey.
        "cluster": CLUSTER,
        # The review page, on the ground station.
        "desk": DESK,
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5", "mkdocstrings[python]>=0.26"],
        "openvino": ["openvino>=2024.0"],
        "photographs": PHOTOGRAPHS,
        # Develops camera raw files (DNG, NEF, CR2...) for score and detect.
        "raw": ["rawpy>=0.19"],
        "replay": REPLAY,
        # Flight logs of PX4 as recordings.
        "ulog": ULOG,
        # Documents, GIS and CAD files on the ground station.
        "report": REPORT,
        # Recordings and maps in Rerun, on the ground station.
        "view": VIEW,
        # Decodes video packets (H.264, H.265); camera drivers that send images do not need it.
        "video": VIDEO,
        # Archives of many recordings.
        "survey": SURVEY,
        # Only Cracks.to_supervision needs it.
        "supervision": ["supervision>=0.22"],
        # TensorRT itself comes from NVIDIA: its package cannot be had from the index alone, and JetPack brings it.
        "tensorrt": ["onnx>=1.15", "pycuda>=2022.2"],
        "tflite": [
            "ai-edge-litert>=2.3",
            "ai-edge-quantizer>=0.10",
            "litert-torch>=0.10",
            "onnx>=1.15",
            "torch==2.13.0",
        ],
        "train": [
            "matplotlib>=3.7",
            "onnx>=1.15",
            "scikit-learn>=1.3",
            "scipy>=1.10",
            "threadpoolctl>=3",
            "torch==2.13.0",
        ],
        "test": [
            # A client and a driver of a real browser for the review page.
            "httpx>=0.27",
            "playwright>=1.48",
            "hypothesis>=6.36",
            # Certificates of an encrypted cluster.
            "cryptography>=42",
            "onnx>=1.15",
            # Readers that are independent of what wrote the files of a report.
            "geopandas>=1.0; python_version >= '3.11'",
            "openpyxl>=3.1",
            "pycocotools>=2.0.8",
            "pyogrio>=0.12",
            "pypdf>=6.0",
            "pytest>=6.2",
            "pytest-cov>=3",
            "pytest-xdist>=2.5",
            "rasterio>=1.3.9",
            "scikit-learn>=1.3",
            "scipy>=1.10",
            *CLUSTER,
            *DESK,
            *PHOTOGRAPHS,
            *REPLAY,
            *REPORT,
            *VIDEO,
            *ULOG,
            *SURVEY,
        ],
        "lint": ["mypy==2.4.1", "ruff==0.17.6"],
    },
    zip_safe=True,
    author="The crack_perception maintainers",
    maintainer="The crack_perception maintainers",
    maintainer_email="maintainers@crack-perception.example",
    description="Concrete cracks from a drone's camera, with severity, pose and covariance.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            f"crack_mapper = {NAME}.ros.executables:crack_mapper",
            f"crack_node = {NAME}.ros.executables:crack_node",
            f"crack_perception = {NAME}.cli.main:main",
            f"px4_transforms = {NAME}.ros.executables:px4_transforms",
        ],
    },
)
