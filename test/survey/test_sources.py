# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recordings in folders, their structures, and the storage of results."""

from __future__ import annotations

import uuid
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from crack_perception.errors import UsageError, UserError
from crack_perception.survey.settings import survey_settings
from crack_perception.survey.sources import SourceKind, StructureTable, find_sources, read_structure_table
from crack_perception.survey.storage import Storage


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Bags with and without metadata, and pictures, in two structures; and earlier results."""
    for name in ("a/bag/metadata.yaml", "a/bag/bag_0.mcap", "a/loose/one.bag", "a/loose/two.db3", "b/east/p.jpg"):
        touch(tmp_path / "in" / name)
    touch(tmp_path / "in" / "b" / "notes.txt")
    touch(tmp_path / "in" / "out" / "shown.png")
    return tmp_path / "in"


def test_find_sources_layout_gives_kinds_and_structures(folder: Path) -> None:
    found = find_sources([folder], StructureTable(), folder / "out")
    assert [(source.name, source.kind, source.structure) for source in found] == [
        ("in/a/bag", SourceKind.BAG, "a"),
        ("in/a/loose/one.bag", SourceKind.BAG, "a"),
        ("in/a/loose/two.db3", SourceKind.BAG, "a"),
        ("in/b/east", SourceKind.PHOTOGRAPHS, "b"),
    ]


@pytest.mark.parametrize("given", ["a/bag", "a/loose/one.bag"])
def test_find_sources_single_recording_belongs_to_its_folder(folder: Path, given: str) -> None:
    (source,) = find_sources([folder / given], StructureTable())
    assert source.structure == (folder / given).parent.name


def test_find_sources_same_recording_twice_is_one(folder: Path) -> None:
    assert len(find_sources([folder / "a", folder / "a" / "bag"], StructureTable())) == 3


def test_find_sources_table_takes_precedence_over_the_layout(folder: Path) -> None:
    table = touch(folder / "structures.csv")
    table.write_text("path,structure,latitude,longitude\na,Span 1,,\na/loose/one.bag,Span 2,47.5,11\n")
    read = read_structure_table(table)
    found = {source.name: source.structure for source in find_sources([folder / "a"], read)}
    assert found == {"a/bag": "Span 1", "a/loose/one.bag": "Span 2", "a/loose/two.db3": "Span 1"}
    assert list(read.origins) == ["Span 2"]
    assert read.origins["Span 2"].x_heading_deg == 90.0


@pytest.mark.parametrize(
    "text",
    [
        "path,structure\na,\n",
        "path\na\n",
        "path,structure,latitude,longitude\na,b,north,11\n",
        "path,structure,latitude,longitude\na,b,95,11\n",
    ],
)
def test_read_structure_table_incomplete_row_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError):
        read_structure_table(tmp_path / "t.csv")


def test_find_sources_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither bags"):
        find_sources([tmp_path], StructureTable())


@pytest.mark.parametrize("is_local", [True, False])
def test_storage_files_are_written_read_listed_and_removed(tmp_path: Path, is_local: bool) -> None:
    url = str(tmp_path / "out") if is_local else f"memory://{uuid.uuid4().hex}/out"
    storage = Storage(url)
    assert (storage.folder is not None) == is_local
    storage.write_json("a/one.json", {"b": 1})
    (tmp_path / "local").write_bytes(b"data")
    storage.upload("a/two", tmp_path / "local")
    assert storage.names("a") == ["one.json", "two"]
    assert storage.read_json("a/one.json") == {"b": 1}
    assert storage.read("a/two") == b"data"
    storage.write("a/one.json", b"{")
    assert storage.read_json("a/one.json") is None
    storage.remove("a")
    storage.remove("a")
    assert storage.read("a/two") is None
    assert storage.names("a") == []


class Unreachable(MemoryFileSystem):
    """A protocol whose package raises a type of its own where no server answers, as that of S3 does."""

    protocol = "unreachable"

    def _fail(self, *arguments: object, **options: object) -> None:
        raise NoAnswerError("Could not connect to\n the endpoint")

    cat_file = pipe_file = put_file = ls = rm = exists = _fail


class NoAnswerError(Exception):
    pass


def test_storage_without_a_server_says_what_to_check(tmp_path: Path) -> None:
    fsspec.register_implementation("unreachable", Unreachable, clobber=True)
    storage = Storage("unreachable://bucket/archive")
    (tmp_path / "local").write_bytes(b"data")
    for name, use in {
        "written": lambda: storage.write("a", b"x"),
        "read": lambda: storage.read("a"),
        "listed": lambda: storage.names("a"),
        "removed": lambda: storage.remove("a"),
    }.items():
        with pytest.raises(
            UserError, match=rf"/a: cannot be {name} \(Could not connect to the endpoint\)\. Check addr"
        ):
            use()
    with pytest.raises(UserError, match="cannot be written"):
        storage.upload("a", tmp_path / "local")


def test_storage_unknown_protocol_is_refused() -> None:
    with pytest.raises(UserError, match="nowhere://x"):
        Storage("nowhere://x")


def test_survey_settings_file_and_options_give_parameters_that_decide_about_the_key(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("/**:\n  ros__parameters:\n    model: auto\n    backend: auto\n    noise: {pixel_px: 3.0}\n")
    settings = survey_settings(params, {"severity_preset": "ec2"}, {}, 30.0)
    node = settings.node_settings({"map_frame": "site"})
    assert (node.model, node.backend, node.map_frame, node.noise.pixel_px) == ("standard", "onnxruntime", "site", 3.0)
    assert (node.frame_budget_s, node.measure_time_s, node.inference_threads) == (0.0, 0.0, 1)
    assert settings.scale.edges_mm == node.severity.edges_mm
    assert settings.digest == survey_settings(params, {"severity_preset": "ec2"}, {}, 30.0).digest
    assert settings.digest != survey_settings(params, {}, {}, 30.0).digest
    params.write_text("/**:\n  ros__parameters:\n    modell: nano\n")
    with pytest.raises(UserError, match="modell"):
        survey_settings(params, {}, {}, 30.0)
