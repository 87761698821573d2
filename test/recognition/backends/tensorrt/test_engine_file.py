# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of engine files: verification before TensorRT reads them, and the search in the cache."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crack_perception.recognition.backends.tensorrt.engine_cache import RECIPE, EngineSite, cache_folder, find_engine
from crack_perception.recognition.backends.tensorrt.engine_file import (
    MAGIC,
    BadEngineFile,
    EngineKey,
    pack_engine,
    read_engine,
    read_key,
)

ENGINE = bytes(range(256)) * 20
SITE = EngineSite("ab" * 32, 256, 3, "10.3.0", "Orin", "8.7")
KEY = SITE.key("fp16", 45)
PACKED = pack_engine(KEY, ENGINE)


def write(folder: Path, content: bytes, key: EngineKey = KEY, age_s: int = 0) -> Path:
    path = folder / key.file_name
    path.write_bytes(content)
    os.utime(path, (10**9 - age_s, 10**9 - age_s))
    return path


def test_engine_file_round_trip(tmp_path: Path) -> None:
    path = write(tmp_path, PACKED)
    assert read_key(path) == KEY
    assert read_engine(path, KEY) == ENGINE


def test_engine_key_each_field_changes_file() -> None:
    changes = dict.fromkeys(("graph_sha256", "precision", "tensorrt", "gpu", "compute_capability"), "other")
    keys = [KEY, *(replace(KEY, **{name: value}) for name, value in changes.items())]
    keys += [replace(KEY, **{name: 1000}) for name in ("recipe", "tile_px", "channels", "batch")]
    assert len(keys) == 1 + len(EngineKey.__dataclass_fields__)
    assert len({key.file_name for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no engine file"),
        (ENGINE, "no engine file"),
        (PACKED[:7] + b"\x09" + PACKED[8:], "no engine file of this version"),
        (PACKED[:10], "truncated"),
        (PACKED[:60], "truncated"),
        (PACKED[:-1], "truncated or longer"),
        (PACKED + b"\0", "truncated or longer"),
        (PACKED[:-1] + b"\0", "damaged"),
        (MAGIC + b"\xff\xff\xff\xff" + PACKED, "too long"),
        (MAGIC + b"\x02\0\0\0{}" + PACKED, "unreadable header"),
        (MAGIC + b"\x02\0\0\0[]" + PACKED, "unreadable header"),
        (MAGIC + b"\x03\0\0\0\xff\xfe\xfd" + PACKED, "unreadable header"),
        (PACKED.replace(b'"batch": 45', b'"batch": "x'), "unreadable header"),
        (PACKED.replace(b'"recipe": 1,', b'"recipe": [],').replace(b"fp16", b"fp3"), "wrong types"),
        (PACKED.replace(b'"batch": 45', b'"batch":\t45'), "was changed"),
        (pack_engine(replace(KEY, gpu="Xavier"), ENGINE), "something else"),
    ],
)
def test_read_engine_other_or_truncated_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(BadEngineFile, match=reason):
        read_engine(write(tmp_path, content), KEY)


def test_read_engine_missing_file_refused(tmp_path: Path) -> None:
    with pytest.raises(BadEngineFile, match="cannot be read"):
        read_engine(tmp_path / "nothing.engine", KEY)


@settings(deadline=None)
@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
def test_read_engine_changed_byte_refused(tmp_path_factory: pytest.TempPathFactory, index: int, change: int) -> None:
    broken = bytearray(PACKED)
    broken[index] ^= change
    path = write(tmp_path_factory.getbasetemp(), bytes(broken))
    with pytest.raises(BadEngineFile):
        read_engine(path, KEY)


def test_find_engine_newest_found(tmp_path: Path) -> None:
    for age_s, (precision, batch) in enumerate([("fp32", 45), ("fp16", 45), ("fp16", 8)]):
        key = SITE.key(precision, batch)
        write(tmp_path, pack_engine(key, ENGINE), key, age_s)
    assert find_engine(tmp_path, SITE) == (SITE.key("fp32", 45), ENGINE)


def test_find_engine_damaged_uses_older(tmp_path: Path) -> None:
    old = SITE.key("fp32", 45)
    write(tmp_path, pack_engine(old, ENGINE), old, 100)
    write(tmp_path, PACKED[:-1])
    assert find_engine(tmp_path, SITE) == (old, ENGINE)


@pytest.mark.parametrize(
    ("site", "reason"),
    [
        (replace(SITE, tensorrt="11.4.0"), "was built for tensorrt 10.3.0, here is 11.4.0"),
        (
            replace(SITE, gpu="Thor", compute_capability="11.0"),
            "gpu Orin, here is Thor, compute_capability 8.7, here is",
        ),
        (replace(SITE, graph_sha256="cd" * 32), "holds no engine that fits: "),
    ],
)
def test_find_engine_none_reason_given(tmp_path: Path, site: EngineSite, reason: str) -> None:
    write(tmp_path, PACKED)
    write(tmp_path, b"junk", replace(KEY, batch=1))
    found = find_engine(tmp_path, site)
    assert isinstance(found, str)
    assert reason in found


def test_find_engine_other_conversion_not_used(tmp_path: Path) -> None:
    key = replace(KEY, recipe=RECIPE + 1)
    write(tmp_path, pack_engine(key, ENGINE), key)
    assert f"recipe {RECIPE + 1}, here is {RECIPE}" in str(find_engine(tmp_path, SITE))


def test_find_engine_missing_cache_none(tmp_path: Path) -> None:
    assert find_engine(tmp_path / "none", SITE) == f"{tmp_path / 'none'} holds no engine that fits"


def test_engine_cache_in_user_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for setting, base in ((str(tmp_path / "x"), tmp_path / "x"), ("", tmp_path / ".cache"), ("x", tmp_path / ".cache")):
        monkeypatch.setenv("XDG_CACHE_HOME", setting)
        assert cache_folder() == base / "crack_perception" / "engines"
