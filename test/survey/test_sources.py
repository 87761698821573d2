# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recordings in folders, their structures, and the storage of results."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from crack_perception.errors import UsageError, UserError
from crack_perception.survey.settings import survey_settings
from crack_perception.survey.sources import Source, SourceKind, StructureTable, find_sources, read_structure_table
from crack_perception.survey.storage import Storage
from crack_perception.survey.structure_map import structure_folder


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


def test_find_sources_first_folder_below_the_input_is_the_structure_at_any_depth(tmp_path: Path) -> None:
    top = tmp_path / "bridges"
    for name in ("B17/p.jpg", "B18/p.jpg", "B19/metadata.yaml", "B20/2026-03/f/metadata.yaml", "B21/F.MCAP", "g.mcap"):
        touch(top / name)
    found = find_sources([top], StructureTable())
    assert {source.name: source.structure for source in found} == {
        "bridges/B17": "B17",
        "bridges/B18": "B18",
        "bridges/B19": "B19",
        "bridges/B20/2026-03/f": "B20",
        "bridges/B21/F.MCAP": "B21",
        "bridges/g.mcap": "bridges",
    }


def test_find_sources_linked_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "disk" / "B17" / "p.jpg")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "B17").symlink_to(tmp_path / "disk" / "B17")
    (tmp_path / "disk" / "B17" / "back").symlink_to(tmp_path / "in")
    assert [source.structure for source in find_sources([tmp_path / "in"], StructureTable())] == ["B17"]


def test_find_sources_pictures_of_maps_are_no_recordings(tmp_path: Path) -> None:
    for name in ("m.sqlite", "m.png", "m.photographs/crack-1.jpg", "m.orthophoto/tiles/0.png", "p.jpg"):
        touch(tmp_path / "in" / "B17" / name)
    (source,) = find_sources([tmp_path / "in"], StructureTable())
    assert [path.name for path in source.files()] == ["p.jpg"]


def test_find_sources_single_picture_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"p\.JPG is a single picture. Give the folder"):
        find_sources([touch(tmp_path / "p.JPG")], StructureTable())


def test_find_sources_name_that_is_not_utf8_is_readable(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"B\xfccke")
    try:
        touch(folder / "p.jpg")
    except OSError:
        pytest.skip("this file system refuses such names")
    (source,) = find_sources([tmp_path], StructureTable())
    assert source.structure == "Bücke"
    assert source.name.endswith("/Bücke")
    assert source.path == folder


def test_content_of_a_single_file_ignores_its_name_and_of_a_folder_does_not(tmp_path: Path) -> None:
    one, other = touch(tmp_path / "one.mcap"), touch(tmp_path / "other.mcap")
    contents = [Source(path, SourceKind.BAG, "n", "s", path).content() for path in (one, other)]
    assert contents[0] == contents[1]
    first = Source(tmp_path, SourceKind.BAG, "n", "s", tmp_path).content()
    other.rename(tmp_path / "third.mcap")
    second = Source(tmp_path, SourceKind.BAG, "n", "s", tmp_path).content()
    assert first.sha256 != second.sha256
    assert first.files == second.files


@pytest.mark.parametrize("name", ["B17", "..", ".", "桥" * 29, "桥" * 200, "a/b", "B%17", "x" * 255])
def test_structure_folder_is_one_folder_that_every_file_system_can_name(tmp_path: Path, name: str) -> None:
    folder = structure_folder(name)
    top, _, last = folder.partition("/")
    assert top == "structures"
    assert "/" not in last
    assert len(last.encode()) <= 255
    touch(tmp_path / folder / "map.sqlite.partial-0123456789abcdef")
    assert [path.name for path in (tmp_path / "structures").iterdir()] == [last]
    assert structure_folder(name + "!") != folder


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
