"""Build of the ament_python package; also installable with plain pip."""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = "crack_perception"
SHARE = f"share/{NAME}"


def tree(folder: str) -> list[tuple[str, list[str]]]:
    """Every file below a folder, as (install directory, files) pairs."""
    directories = sorted({path.parent for path in Path(folder).rglob("*") if path.is_file()})
    return [(f"{SHARE}/{d.as_posix()}", [p.as_posix() for p in sorted(d.iterdir()) if p.is_file()]) for d in directories]


setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages("src"),
    package_dir={"": "src"},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml"]),
        (f"{SHARE}/launch", glob("launch/*.launch.py")),
        *tree("config"),
        *tree("models"),
        *tree("rviz"),
    ],
    python_requires=">=3.10",
    install_requires=["setuptools", "numpy", "opencv-python-headless", "onnxruntime>=1.16", "PyYAML"],
    extras_require={
        "replay": ["rosbags>=0.11", "psutil"],
        "train": ["torch", "scikit-learn", "onnx", "scipy"],
        "test": ["pytest", "hypothesis", "mypy", "ruff", "rosbags>=0.11", "psutil", "scikit-learn", "onnx", "scipy"],
    },
    zip_safe=True,
    author="The crack_perception maintainers",
    maintainer="The crack_perception maintainers",
    maintainer_email="maintainers@crack-perception.example",
    description="Concrete cracks from a drone's camera, with severity, pose and covariance.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            f"crack_node = {NAME}.ros.crack_node:main",
            f"crack_perception = {NAME}.cli.main:main",
        ],
    },
)
