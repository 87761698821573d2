# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Damaged, unfinished, compressed and ROS 1 recordings: readable messages are yielded, the others are counted."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from evaluation_bags import IMAGE_TOPIC, POSE, START_NS, TYPES, Entry, header, image, message, pose, write_bag
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import BagMessage, Losses, Window, deserialize, open_bag
from crack_perception.evaluation.recordings.messages import as_current
from crack_perception.evaluation.recordings.storage import DamageError

IMAGE = "sensor_msgs/msg/Image"
RANGE = "sensor_msgs/msg/Range"
INFO = "sensor_msgs/msg/CameraInfo"
TF = "tf2_msgs/msg/TFMessage"
COUNT = 40
MS = 1_000_000
ROS1 = get_typestore(Stores.ROS1_NOETIC)


def noise(index: int) -> object:
    """Return a 100x100 image of incompressible noise."""
    data = np.random.default_rng(index).integers(0, 256, 30_000, np.uint8)
    return message(
        IMAGE, header=header(index * MS), height=100, width=100, encoding="bgr8", is_bigendian=0, step=300, data=data
    )


def entries(count: int = COUNT) -> list[Entry]:
    """Return alternating images and poses."""
    rows: list[Entry] = []
    for index in range(count):
        rows += [(IMAGE_TOPIC, IMAGE, index * MS, noise(index)), ("/pose", POSE, index * MS + 1, pose())]
    return rows


def write(
    path: Path,
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode | None = None,
    rows: list[Entry] | None = None,
) -> Path:
    """Write a rosbag2 of ``entries`` with the given zstd compression."""
    writer = Writer(path, version=9, storage_plugin=storage)
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, type_name, offset_ns, content in rows or entries():
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, type_name, typestore=TYPES)
            writer.write(connections[topic], START_NS + offset_ns, TYPES.serialize_cdr(content, type_name))
    return path


def read(path: Path, window: Window | None = None) -> tuple[list[BagMessage], Losses, tuple[str, ...]]:
    """Return all messages of a recording, its losses and its notes."""
    losses = Losses()
    with open_bag(path) as bag:
        topics = [topic.name for topic in bag.topics]
        return list(bag.messages(topics, losses, window or Window())), losses, bag.notes


def storage_file(path: Path) -> Path:
    """Return the only storage file of a recording."""
    (found,) = [file for file in path.iterdir() if file.name != "metadata.yaml"]
    return found


def overwrite(file: Path, at: float, size: int) -> None:
    """Overwrite bytes after a fraction of a file."""
    with file.open("r+b") as opened:
        opened.seek(int(file.stat().st_size * at))
        opened.write(b"\xa5" * size)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[BagMessage]:
    """Messages of an intact recording."""
    messages, losses, _ = read(write(tmp_path_factory.mktemp("whole") / "bag"))
    assert len(messages) == 2 * COUNT and not losses
    return messages


KINDS = [
    (StoragePlugin.MCAP, None),
    (StoragePlugin.MCAP, CompressionMode.STORAGE),
    (StoragePlugin.MCAP, CompressionMode.MESSAGE),
    (StoragePlugin.MCAP, CompressionMode.FILE),
    (StoragePlugin.SQLITE3, None),
    (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    (StoragePlugin.SQLITE3, CompressionMode.FILE),
]


@pytest.mark.parametrize(("storage", "compression"), KINDS)
def test_open_bag_any_compression_yields_the_same_messages(
    tmp_path: Path, whole: list[BagMessage], storage: StoragePlugin, compression: CompressionMode | None
) -> None:
    path = write(tmp_path / "bag", storage, compression)
    for given in (path, path / "metadata.yaml", storage_file(path)):
        messages, losses, _ = read(given)
        assert messages == whole
        assert not losses


@pytest.mark.parametrize(("storage", "compression"), KINDS)
@pytest.mark.parametrize("with_metadata", [True, False])
def test_open_bag_damaged_middle_counts_losses_and_reads_the_rest(
    tmp_path: Path,
    whole: list[BagMessage],
    storage: StoragePlugin,
    compression: CompressionMode | None,
    with_metadata: bool,
) -> None:
    path = write(tmp_path / "bag", storage, compression)
    overwrite(storage_file(path), 0.5, 5000)
    if not with_metadata:
        (path / "metadata.yaml").unlink()
    messages, losses, _ = read(path)
    known = {(item.topic, item.stamp_ns) for item in whole}
    assert 0 < len(messages) <= len(whole)
    assert {(item.topic, item.stamp_ns) for item in messages} <= known
    # Without checksums, changed bytes inside an image cannot be detected: only the count is checked.
    if with_metadata:
        assert len(messages) + losses.messages.total() == len(whole)


@pytest.mark.parametrize("share", [0.3, 0.67, 0.95, 0.9501, 0.951])
def test_sqlite_truncated_yields_the_messages_before_the_end(
    tmp_path: Path, whole: list[BagMessage], share: float
) -> None:
    path = write(tmp_path / "bag", StoragePlugin.SQLITE3)
    file = storage_file(path)
    os.truncate(file, round(share * file.stat().st_size))
    messages, losses, _ = read(path)
    assert [item for item in whole if item in messages] == messages
    assert len(messages) > 0.8 * share * len(whole)
    assert len(messages) + losses.messages.total() == len(whole)
    assert any("cannot be read" in text for text in losses.texts)


@pytest.mark.parametrize("compression", [None, CompressionMode.STORAGE])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.67, 0.95, 0.999])
def test_mcap_truncated_yields_the_messages_before_the_end(
    tmp_path: Path, whole: list[BagMessage], compression: CompressionMode | None, share: float
) -> None:
    path = write(tmp_path / "bag", StoragePlugin.MCAP, compression)
    file = storage_file(path)
    os.truncate(file, int(file.stat().st_size * share))
    messages, losses, notes = read(path)
    assert messages == whole[: len(messages)]
    assert len(messages) >= int(len(whole) * share) - 6
    assert len(messages) + losses.messages.total() == len(whole)
    assert losses or any("not closed" in note for note in notes)
    assert read(file)[0] == messages


def test_mcap_without_footer_is_read_completely_with_a_note(tmp_path: Path, whole: list[BagMessage]) -> None:
    path = write(tmp_path / "bag")
    file = storage_file(path)
    os.truncate(file, file.stat().st_size - 20)
    messages, losses, notes = read(path)
    assert messages == whole
    assert not losses
    assert any("read record by record" in note for note in notes)


def test_sqlite_write_ahead_log_is_read_and_left_unchanged(tmp_path: Path, whole: list[BagMessage]) -> None:
    path = write(tmp_path / "bag", StoragePlugin.SQLITE3)
    file = storage_file(path)
    live = tmp_path / "live.db3"
    shutil.copyfile(file, live)
    database = sqlite3.connect(live, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.execute("DELETE FROM messages WHERE id > 10")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{live}{suffix}", unfinished / f"live.db3{suffix}")
    database.close()
    before = {file.name: file.read_bytes() for file in unfinished.iterdir()}
    messages, losses, notes = read(unfinished)
    assert messages == whole[:10] and not losses
    assert any("write-ahead log" in note for note in notes)
    assert {file.name: file.read_bytes() for file in unfinished.iterdir()} == before


def test_open_bag_folder_without_metadata_reads_files_in_natural_order(tmp_path: Path, whole: list[BagMessage]) -> None:
    rows = entries()
    folder = tmp_path / "split"
    folder.mkdir()
    for name, part in (("bag_10", rows[40:]), ("bag_2", rows[20:40]), ("bag_1", rows[:20])):
        shutil.copyfile(storage_file(write(tmp_path / name, rows=part)), folder / f"{name}.mcap")
    messages, losses, notes = read(folder)
    assert messages == whole and not losses
    assert any("no metadata.yaml" in note for note in notes)


def test_open_bag_missing_split_file_is_reported_as_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "bag")
    text = (path / "metadata.yaml").read_text().replace("- bag.mcap", "- bag.mcap\n  - bag_1.mcap")
    text = text.replace(f"message_count: {COUNT}\n", f"message_count: {COUNT + 5}\n")
    (path / "metadata.yaml").write_text(text)
    messages, losses, _ = read(path)
    assert len(messages) == 2 * COUNT
    assert losses.messages == {IMAGE_TOPIC: 5, "/pose": 5}
    assert "bag_1.mcap" in " ".join(losses.texts)


@pytest.mark.parametrize("text", ["", "rosbag2_bagfile_information: [", "rosbag2_bagfile_information: {}", "\x00\x01"])
def test_open_bag_damaged_metadata_is_noted_and_files_are_read(
    tmp_path: Path, whole: list[BagMessage], text: str
) -> None:
    path = write(tmp_path / "bag")
    (path / "metadata.yaml").write_text(text)
    messages, losses, notes = read(path)
    assert messages == whole and not losses
    assert any("metadata.yaml is damaged" in note for note in notes)


@pytest.mark.parametrize("name", ["full disk, locked #1?.db3", "100%41.mcap"])
def test_open_bag_special_characters_in_path_are_read(tmp_path: Path, whole: list[BagMessage], name: str) -> None:
    storage = StoragePlugin.SQLITE3 if name.endswith("db3") else StoragePlugin.MCAP
    file = shutil.copyfile(storage_file(write(tmp_path / "bag", storage)), tmp_path / name)
    assert read(file)[0] == whole


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.mcap", b"", "it is empty. Copy it again"),
        ("a.db3", b"\x00" * 100, "it begins with zeros. Copy it again"),
        ("a.mcap", b"hello", "neither an MCAP file.*Give the folder of a rosbag2"),
        ("a.db3.zstd", b"\x28\xb5\x2f\xfd" + b"\xa5" * 9, "its zstd data is damaged or truncated. Copy it again"),
        ("a.mcap", b"\x89MCAP0\r\n", "none of its messages can be read"),
        ("a.db3", b"SQLite format 3\x00" + b"\xa5" * 5000, "topics"),
        ("a.bag", b"#ROSBAG V1.2\n", "rosbag migrate"),
    ],
)
def test_open_bag_unreadable_file_raises_cause_and_remedy(
    tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=expected) as caught, open_bag(tmp_path / name):
        pass
    assert caught.value.remedy


def test_messages_window_includes_earlier_static_transforms(tmp_path: Path) -> None:
    static: list[Entry] = [("/tf_static", TF, 0, message(TF, transforms=[]))]
    path = write(tmp_path / "bag", rows=[*static, *entries()])
    messages, losses, _ = read(path, Window(0.010, 0.005))
    assert Counter(item.topic for item in messages) == {"/tf_static": 1, IMAGE_TOPIC: 5, "/pose": 5}
    assert [item.stamp_ns - START_NS for item in messages][:2] == [10 * MS, 10 * MS]
    assert not losses


def ros1_message(type_name: str, **fields: object) -> object:
    """A ROS 1 message."""
    return ROS1.types[type_name](**fields)


def ros1_header(offset_ns: int) -> object:
    """A ROS 1 header."""
    seconds, nanoseconds = divmod(START_NS + offset_ns, 1_000_000_000)
    stamp = ros1_message("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return ros1_message("std_msgs/msg/Header", seq=7, stamp=stamp, frame_id="camera")


def write_ros1(path: Path, compression: Ros1Writer.CompressionFormat | None = None) -> Path:
    """A ROS 1 bag with images, a camera_info and a range."""
    writer = Ros1Writer(path)
    if compression is not None:
        writer.set_compression(compression)
    roi = {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False}
    with writer:
        images = writer.add_connection("camera/image_raw", IMAGE, typestore=ROS1)
        infos = writer.add_connection("/camera/camera_info", INFO, typestore=ROS1)
        ranges = writer.add_connection("/range", RANGE, typestore=ROS1)
        for index in range(COUNT):
            at = START_NS + index * MS
            data = np.random.default_rng(index).integers(0, 256, 30_000, np.uint8)
            picture = ros1_message(
                IMAGE,
                header=ros1_header(index * MS),
                height=100,
                width=100,
                encoding="bgr8",
                is_bigendian=0,
                step=300,
                data=data,
            )
            info = ros1_message(
                INFO,
                header=ros1_header(index * MS),
                height=100,
                width=100,
                distortion_model="plumb_bob",
                D=np.arange(5.0),
                K=np.arange(9.0),
                R=np.arange(9.0),
                P=np.arange(12.0),
                binning_x=0,
                binning_y=0,
                roi=ros1_message("sensor_msgs/msg/RegionOfInterest", **roi),
            )
            reading = ros1_message(
                RANGE,
                header=ros1_header(index * MS),
                radiation_type=1,
                field_of_view=0.1,
                min_range=0.1,
                max_range=10.0,
                range=1.5,
            )
            writer.write(images, at, ROS1.serialize_ros1(picture, IMAGE))
            writer.write(infos, at + 1, ROS1.serialize_ros1(info, INFO))
            writer.write(ranges, at + 2, ROS1.serialize_ros1(reading, RANGE))
    return path


@pytest.mark.parametrize("compression", [None, *Ros1Writer.CompressionFormat])
def test_ros1_bag_yields_ros2_messages(tmp_path: Path, compression: Ros1Writer.CompressionFormat | None) -> None:
    messages, losses, _ = read(write_ros1(tmp_path / "flight.bag", compression))
    assert not losses
    assert Counter(item.topic for item in messages) == dict.fromkeys(
        ("/camera/image_raw", "/camera/camera_info", "/range"), COUNT
    )
    picture = deserialize(messages[0].data, IMAGE)
    assert picture is not None and (picture.header.frame_id, picture.encoding) == ("camera", "bgr8")
    assert picture.header.stamp.sec * 1_000_000_000 + picture.header.stamp.nanosec == START_NS
    assert np.array_equal(picture.data, np.random.default_rng(0).integers(0, 256, 30_000, np.uint8))
    info, reading = deserialize(messages[1].data, INFO), deserialize(messages[2].data, RANGE)
    assert info is not None and info.k.tolist() == list(range(9)) and info.d.tolist() == list(range(5))
    assert reading is not None and (reading.range, reading.variance) == (1.5, 0.0)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_ros1_bag_truncated_yields_the_messages_before_the_end(tmp_path: Path, share: float) -> None:
    file = write_ros1(tmp_path / "flight.bag")
    every = read(file)[0]
    os.truncate(file, int(file.stat().st_size * share))
    messages, losses, _ = read(file)
    assert messages == every[: len(messages)]
    assert len(messages) >= int(len(every) * share) - 9
    assert losses


def test_ros1_bag_damaged_chunk_yields_the_other_chunks(tmp_path: Path) -> None:
    file = write_ros1(tmp_path / "flight.bag", Ros1Writer.CompressionFormat.LZ4)
    every = read(file)[0]
    overwrite(file, 0.4, 4000)
    messages, losses, _ = read(file)
    assert all(item in every for item in messages)
    assert len(messages) + losses.messages.total() == len(every)


def test_as_current_humble_range_gets_a_variance() -> None:
    humble = get_typestore(Stores.ROS2_HUMBLE)
    types = humble.types
    stamp = types["builtin_interfaces/msg/Time"](sec=1, nanosec=2)
    old = types[RANGE](
        header=types["std_msgs/msg/Header"](stamp=stamp, frame_id="range"),
        radiation_type=1,
        field_of_view=0.1,
        min_range=0.1,
        max_range=10.0,
        range=1.5,
    )
    reading = deserialize(as_current(bytes(humble.serialize_cdr(old, RANGE)), RANGE, "cdr"), RANGE)
    assert reading is not None
    assert (reading.header.frame_id, reading.range, reading.variance) == ("range", 1.5, 0.0)


@pytest.mark.parametrize("seed", range(100))
def test_as_current_random_bytes_raise_damage(seed: int) -> None:
    data = np.random.default_rng(seed).bytes(200)
    with pytest.raises(DamageError):
        as_current(b"\x00\x01\x00\x00" + data, IMAGE, "cdr")


@pytest.mark.parametrize("storage", list(StoragePlugin))
@pytest.mark.parametrize("seed", range(25))
def test_open_bag_mutated_file_is_read_or_raises_user_error(tmp_path: Path, storage: StoragePlugin, seed: int) -> None:
    mode = [None, CompressionMode.STORAGE, CompressionMode.MESSAGE][seed % 3]
    if storage is StoragePlugin.SQLITE3 and mode is CompressionMode.STORAGE:
        mode = CompressionMode.MESSAGE
    path = write(tmp_path / "bag", storage, mode, entries(6))
    file = storage_file(path)
    data = bytearray(file.read_bytes())
    random = np.random.default_rng(seed)
    for _ in range(int(random.integers(1, 6))):
        at, size = int(random.integers(len(data))), int(random.integers(1, 400))
        data[at : at + size] = random.bytes(min(size, len(data) - at))
    if seed % 2:
        del data[int(random.integers(len(data))) :]
    file.write_bytes(data)
    for given in (path, file):
        try:
            messages, _, _ = read(given)
        except UserError as error:
            assert error.remedy
        else:
            # Poses have no bytes that may be anything: those that are left hold what was recorded.
            assert len(messages) <= 12


def test_messages_image_shorter_than_its_size_is_yielded(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", [(IMAGE_TOPIC, IMAGE, 0, image())])
    messages, losses, _ = read(path)
    assert len(messages) == 1 and not losses


LAP_S = (0.0, 0.5, 1.0, 1.5, 2.0)


def laps(count: int = 3, padding: int = 1) -> list[Entry]:
    """Return poses and images of a recorder whose clock is that of a bag that loops, as it writes them.

    The image of a moment is written before its pose; every image has ``padding`` kilobytes.
    """
    rows: list[Entry] = []
    for lap in range(count):
        for moment in LAP_S:
            stamp_ns = round(moment * 1000) * MS
            picture = message(
                IMAGE,
                header=header(stamp_ns, f"lap{lap}"),
                height=1,
                width=1,
                encoding="mono8",
                step=1,
                is_bigendian=0,
                data=np.random.default_rng(lap).integers(0, 256, 1024 * padding, np.uint8),
            )
            rows += [(IMAGE_TOPIC, IMAGE, stamp_ns + 1, picture), ("/pose", POSE, stamp_ns, pose(f"lap{lap}"))]
    return rows


@pytest.mark.parametrize("padding", [1, 900], ids=["one chunk", "many chunks"])
@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_recording_over_a_loop_is_read_lap_by_lap(tmp_path: Path, storage: StoragePlugin, padding: int) -> None:
    messages, losses, _ = read(write(tmp_path / "bag", storage, rows=laps(padding=padding)))
    assert not losses
    seen = []
    for item in messages:
        content = deserialize(item.data, IMAGE if item.topic == IMAGE_TOPIC else POSE)
        seen.append((content.header.frame_id, item.stamp_ns - START_NS, item.topic))
    wanted = [
        (f"lap{lap}", round(moment * 1000) * MS + offset, topic)
        for lap in range(3)
        for moment in LAP_S
        for offset, topic in ((0, "/pose"), (1, IMAGE_TOPIC))
    ]
    assert seen == wanted


def test_recording_over_a_loop_window_goes_on_over_the_jump(tmp_path: Path) -> None:
    messages, _, _ = read(write(tmp_path / "bag", rows=laps()), Window(1.9, 1.2))
    frames = [deserialize(item.data, IMAGE).header.frame_id for item in messages if item.topic == IMAGE_TOPIC]
    assert frames == ["lap0", "lap1", "lap1", "lap1"]


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_recording_written_topic_by_topic_is_read_in_order_of_time(tmp_path: Path, storage: StoragePlugin) -> None:
    rows = sorted(laps(count=1), key=lambda row: row[0])
    messages, _, _ = read(write(tmp_path / "bag", storage, rows=rows))
    assert [item.stamp_ns for item in messages] == sorted(item.stamp_ns for item in messages)


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_messages_of_a_window_are_those_of_the_whole_between_its_ends(tmp_path: Path, storage: StoragePlugin) -> None:
    path = write(tmp_path / "bag", storage, rows=entries(60))
    whole, _, _ = read(path)
    begin_ns, end_ns = whole[0].stamp_ns + 20 * MS, whole[0].stamp_ns + 45 * MS
    found, losses, _ = read(path, Window(0.020, 0.025))
    assert found == [message for message in whole if begin_ns <= message.stamp_ns < end_ns]
    assert not losses


def test_elapsed_messages_of_a_late_window_count_from_the_start_of_the_recording(tmp_path: Path) -> None:
    path = write(tmp_path / "bag")
    with open_bag(path) as bag:
        found = list(bag.elapsed_messages([IMAGE_TOPIC], Losses(), Window(0.010, 0.005)))
    assert [elapsed_ns for elapsed_ns, _ in found] == [index * MS for index in range(10, 15)]
