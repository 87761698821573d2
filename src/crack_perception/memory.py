# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Memory that this process can still use."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available_bytes(meminfo: Path = _MEMINFO, group: Path = _CGROUP) -> int | None:
    """Return the memory that is free or can be freed, within the limit of the container; None where it is unknown.

    Args:
        meminfo: File with the memory of the machine.
        group: Folder of the container's control group (version 2).
    """
    known = [size for size in (_of_machine(meminfo), _of_container(group)) if size is not None]
    return min(known, default=None)


def _of_machine(meminfo: Path) -> int | None:
    try:
        for line in meminfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _of_container(group: Path) -> int | None:
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = (group / "memory.stat").read_text().splitlines()
        cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError, IndexError):  # "max" without a limit
        return None
    return max(0, limit - used + cached)
