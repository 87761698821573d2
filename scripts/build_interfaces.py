# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Build the interface packages of ``interfaces/`` into the virtual environment that runs this script.

The ROS 2 wheels lack map_msgs, tf2_msgs and vision_msgs; a distribution's ROS 2 has them and is not changed. Afterwards
a plain ``import vision_msgs.msg`` works without sourcing anything. Needs the wheels of ``scripts/requirements/``, a C++
compiler and the headers of Python. Running programs that use the packages are not affected.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy

INTERFACES = Path(__file__).resolve().parents[1] / "interfaces"
PREFIX = Path(sys.prefix)
SITE_PACKAGES = Path(sysconfig.get_path("purelib")).relative_to(PREFIX)
STAMPS = PREFIX / "share" / "crack_perception_interfaces"

WHEEL_NUMPY_INCLUDE = re.compile(r'/opt/python/[^;"]*/numpy/_?core/include')
WHEEL_PYTHON_INCLUDE = re.compile(r'/opt/python/[^/;"]+/include/python[0-9.]+t?')


def package_folders() -> list[Path]:
    """Return the interface packages of this repository (none depends on another)."""
    return sorted(manifest.parent for manifest in INTERFACES.glob("*/package.xml"))


def is_from_distribution(package: str) -> bool:
    """Whether the package can already be imported from outside this virtual environment."""
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None and PREFIX not in Path(spec.origin).parents


def sources_digest(package: Path) -> str:
    """Return the SHA-256 over everything that determines a build: sources, this script, Python and NumPy."""
    digest = hashlib.sha256(f"{sys.version}|{numpy.__version__}|{PREFIX}".encode())
    for path in [Path(__file__), *sorted(p for p in package.rglob("*") if p.is_file())]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def stamp_of(package: Path) -> Path:
    """File that holds the digest of what was built of this package."""
    return STAMPS / f"{package.name}.sha256"


def is_up_to_date(package: Path) -> bool:
    """Whether the installed package was built of these sources."""
    stamp = stamp_of(package)
    return stamp.exists() and stamp.read_text(encoding="utf-8") == sources_digest(package)


def point_wheels_at_this_python() -> None:
    """Replace the include paths that the wheels' CMake files carry from the machine they were built on."""
    python_include = sysconfig.get_path("include")
    for path in (PREFIX / "share").glob("*/cmake/*.cmake"):
        text = path.read_text(encoding="utf-8")
        fixed = WHEEL_NUMPY_INCLUDE.sub(numpy.get_include(), text)
        fixed = WHEEL_PYTHON_INCLUDE.sub(python_include, fixed)
        if fixed != text:
            path.write_text(fixed, encoding="utf-8")


def build_environment() -> dict[str, str]:
    """Environment in which CMake finds the wheels' packages, programs and libraries, and nothing else of ROS."""
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join([str(PREFIX / "bin"), environment.get("PATH", os.defpath)])
    environment["AMENT_PREFIX_PATH"] = environment["CMAKE_PREFIX_PATH"] = str(PREFIX)
    libraries = [str(PREFIX / "lib"), environment.get("LD_LIBRARY_PATH", "")]
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(part for part in libraries if part)
    return environment


def run(command: list[str], package: str, **variables: str) -> None:
    """Run one step of a build with these environment variables added.

    Raises:
        SystemExit: The step failed; its output has been printed.
    """
    environment = build_environment() | variables
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise SystemExit(f"error: building {package} failed at: {' '.join(command)}")


def build(package: Path, build_folder: Path, staged: Path) -> None:
    """Configure and build one package, and install it as if ``staged`` were the root of the file system.

    Raises:
        SystemExit: A step failed; its output has been printed.
    """
    cmake = str(PREFIX / "bin" / "cmake")
    configure = [
        *(cmake, "-S", str(package), "-B", str(build_folder), "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={PREFIX / 'bin' / 'ninja'}",
        f"-DCMAKE_INSTALL_PREFIX={PREFIX}",
        f"-DPYTHON_INSTALL_DIR={SITE_PACKAGES}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DBUILD_TESTING=OFF",
    ]
    run(configure, package.name)
    run([cmake, "--build", str(build_folder)], package.name)
    run([cmake, "--install", str(build_folder)], package.name, DESTDIR=str(staged))


def move_into_place(staged: Path) -> None:
    """Move every staged file into place atomically; files that a running program has open stay unchanged."""
    for path in sorted(p for p in staged.rglob("*") if p.is_file() or p.is_symlink()):
        target = Path("/", path.relative_to(staged))
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def main() -> None:
    """Build missing or outdated packages, and print their names."""
    missing = [folder for folder in package_folders() if not is_from_distribution(folder.name)]
    if not missing:
        print("interfaces: the distribution's ROS 2 has them all")
        return
    outdated = [folder for folder in missing if not is_up_to_date(folder)]
    if not outdated:
        print("interfaces: up to date")
        return
    STAMPS.mkdir(exist_ok=True)
    point_wheels_at_this_python()
    for folder in outdated:
        print(f"interfaces: building {folder.name} (about half a minute)", flush=True)
        stamp_of(folder).unlink(missing_ok=True)
        # Inside the environment, so that what was built can be moved rather than copied.
        with tempfile.TemporaryDirectory(prefix=f"{folder.name}_", dir=STAMPS) as scratch:
            build(folder, Path(scratch, "build"), Path(scratch, "staged"))
            move_into_place(Path(scratch, "staged"))
        stamp_of(folder).write_text(sources_digest(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
