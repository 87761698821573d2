# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Which recordings ``ros2 bag play`` can be given, and what is said of the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from evaluation_bags import IMAGE_TOPIC, TYPES, Entry, image, write_bag
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import open_bag
from crack_perception.evaluation.recordings.playable import PlayableBag, playable_bag

IMAGE = "sensor_msgs/msg/Image"
ROWS: list[Entry] = [(IMAGE_TOPIC, IMAGE, index, image()) for index in range(20)]


def storage_file(folder: Path) -> Path:
    (file,) = (path for path in folder.iterdir() if path.name != "metadata.yaml")
    return file


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_playable_bag_whole_recording_is_played_as_given(tmp_path: Path, storage: StoragePlugin) -> None:
    folder = write_bag(tmp_path / "bag", ROWS, storage)
    assert playable_bag(folder) == PlayableBag(folder)
    assert playable_bag(folder / "metadata.yaml") == PlayableBag(folder)
    assert playable_bag(storage_file(folder)) == PlayableBag(storage_file(folder))


def test_playable_bag_folder_without_metadata_is_played_by_its_only_file(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag", ROWS)
    (folder / "metadata.yaml").unlink()
    assert playable_bag(folder) == PlayableBag(storage_file(folder))
    (folder / "bag_2.mcap").write_bytes(storage_file(folder).read_bytes())
    with pytest.raises(UserError, match=rf"no metadata\.yaml.*crack_perception replay {folder} .*ros2 bag reindex"):
        playable_bag(folder)
    with open_bag(folder) as bag:  # what the message promises
        assert len(list(bag.messages([IMAGE_TOPIC]))) == 2 * len(ROWS)


@pytest.mark.parametrize("share", [0.5, 0.97])
def test_playable_bag_unfinished_mcap_is_explained(tmp_path: Path, share: float) -> None:
    folder = write_bag(tmp_path / "bag", ROWS)
    file = storage_file(folder)
    os.truncate(file, int(file.stat().st_size * share))
    found = playable_bag(folder)
    assert found.path == folder
    assert "may not read" in found.explanation and file.name in found.explanation
    assert f"`crack_perception replay {folder} --out DIR`" in found.explanation


def test_playable_bag_damaged_metadata_is_explained(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag", ROWS)
    (folder / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    assert "metadata.yaml is damaged" in playable_bag(folder).explanation


def test_playable_bag_ros1_names_the_verb_and_the_converter(tmp_path: Path) -> None:
    file = tmp_path / "flight.bag"
    with Ros1Writer(file) as writer:
        connection = writer.add_connection("/text", "std_msgs/msg/String", msgdef="string data", md5sum="0" * 32)
        writer.write(connection, 1, b"\x01\x00\x00\x00a")
    for path in (file, tmp_path):
        with pytest.raises(UserError, match=r"is a ROS 1 bag.*crack_perception replay .*rosbags-convert --src"):
            playable_bag(path)


def test_playable_bag_compressed_file_needs_its_metadata(tmp_path: Path) -> None:
    folder = tmp_path / "bag"
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin.SQLITE3)
    writer.set_compression(CompressionMode.FILE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(IMAGE_TOPIC, IMAGE, typestore=TYPES)
        writer.write(connection, 1, TYPES.serialize_cdr(image(), IMAGE))
    assert storage_file(folder).suffix == ".zstd"
    assert playable_bag(folder) == PlayableBag(folder)
    with pytest.raises(UserError, match=r"is compressed.*crack_perception replay .*zstd -d"):
        playable_bag(storage_file(folder))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("missing", None, "does not exist"),
        ("empty.mcap", b"", "it is empty"),
        ("text.mcap", b"this is text, not a recording", "neither an MCAP file"),
        ("metadata.yaml", b"rosbag2_bagfile_information: {}", "lists no files"),
    ],
)
def test_playable_bag_unreadable_has_the_remedy_of_the_verb(
    tmp_path: Path, name: str, content: bytes | None, expected: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=expected) as refused:
        playable_bag(path)
    with pytest.raises(UserError) as of_verb, open_bag(path):
        pass
    assert str(refused.value) == str(of_verb.value)
