# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Number of processor cores available to this process."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_SELF = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Return the number of cores within affinity and CPU quota of the control group (container), at least 1."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        allowed = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def cgroup_quota(root: Path = _CGROUP_ROOT, membership: Path = _SELF) -> float | None:
    """Return the CPU quota of this process's control group in cores, version 1 or 2; None where there is no limit.

    The tightest limit from the group up to the root counts.

    Args:
        root: Mount point of the control groups.
        membership: File with the groups of this process.
    """
    limits = [limit for group in _groups(root, membership) if (limit := _limit_of(group)) is not None]
    return min(limits, default=None)


def _groups(root: Path, membership: Path) -> list[Path]:
    """Return folders with limits of this process: its groups, their parents, and the root of the mount."""
    folders = [root, root / "cpu", root / "cpu,cpuacct"]
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return folders
    for line in lines:
        # hierarchy:controllers:path, with no controllers in version 2
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / controllers if controllers else root
        parts = [part for part in path.split("/") if part not in ("", "..")]
        mounts = [base, root / "cpu"] if controllers else [base]
        folders += [mount.joinpath(*parts[:depth]) for mount in mounts for depth in range(1, len(parts) + 1)]
    return folders


def _limit_of(group: Path) -> float | None:
    """Return the quota of one group in cores; None without a limit."""
    try:
        # Version 2: "max 100000" or "150000 100000".
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        cores = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None
