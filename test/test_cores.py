# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the number of usable cores: affinity, and the CPU quota of control groups of both versions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crack_perception import cores
from crack_perception.cores import cgroup_quota, usable_cores


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def membership(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cgroup"
    path.write_text(text)
    return path


def test_cgroup_quota_version_2_read_from_own_group(tmp_path: Path) -> None:
    group(tmp_path / "fs/user/drone", cpu__max="150000 100000")
    assert cgroup_quota(tmp_path / "fs", membership(tmp_path, "0::/user/drone\n")) == pytest.approx(1.5)


def test_cgroup_quota_tighter_parent_applies(tmp_path: Path) -> None:
    group(tmp_path / "fs/user", cpu__max="100000 100000")
    group(tmp_path / "fs/user/drone", cpu__max="400000 100000")
    assert cgroup_quota(tmp_path / "fs", membership(tmp_path, "0::/user/drone\n")) == pytest.approx(1.0)


def test_cgroup_quota_in_container_read_at_mount(tmp_path: Path) -> None:
    group(tmp_path / "fs", cpu__max="200000 100000")
    assert cgroup_quota(tmp_path / "fs", membership(tmp_path, "0::/\n")) == pytest.approx(2.0)


def test_cgroup_quota_version_1_read_from_cpu_controller(tmp_path: Path) -> None:
    group(tmp_path / "fs/cpu,cpuacct/docker/1", cpu__cfs_quota_us="250000", cpu__cfs_period_us="100000")
    group(tmp_path / "fs/memory/docker/1", cpu__cfs_quota_us="1", cpu__cfs_period_us="100000")
    lines = "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n"
    assert cgroup_quota(tmp_path / "fs", membership(tmp_path, lines)) == pytest.approx(2.5)


@pytest.mark.parametrize("text", ["max 100000", "0 100000", "100000 0", "garbage", ""])
def test_cgroup_quota_without_limit_none(tmp_path: Path, text: str) -> None:
    group(tmp_path / "fs", cpu__max=text)
    assert cgroup_quota(tmp_path / "fs", membership(tmp_path, "0::/\n")) is None


def test_cgroup_quota_version_1_unlimited_is_none(tmp_path: Path) -> None:
    group(tmp_path / "fs/cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert cgroup_quota(tmp_path / "fs", tmp_path / "missing") is None


@pytest.mark.parametrize(("quota", "expected"), [(None, 4), (0.25, 1), (1.5, 2), (3.0, 3), (16.0, 4)])
def test_usable_cores_minimum_of_affinity_and_quota(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(cores, "cgroup_quota", lambda: quota)
    assert usable_cores() == expected


def test_usable_cores_follow_affinity_of_process() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
