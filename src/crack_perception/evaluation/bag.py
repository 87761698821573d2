"""Any rosbag2 (MCAP or sqlite3, compressed or not) as topics and serialized messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from crack_perception.errors import UserError

_STANDARD_TYPES = get_typestore(Stores.LATEST)


@dataclass(frozen=True)
class BagTopic:
    """One topic of a bag: its name, type as ``package/msg/Name`` and number of messages."""

    name: str
    type_name: str
    count: int


class BagMessage(NamedTuple):
    """A recorded message: topic, time of recording in nanoseconds, CDR bytes."""

    topic: str
    stamp_ns: int
    data: bytes


@contextmanager
def open_bag(path: Path | str) -> Iterator[Bag]:
    """Open a bag: its folder, or a single ``.mcap`` or ``.db3`` file.

    Raises:
        UserError: The path is missing or no bag that can be read.
    """
    try:
        reader = Reader(Path(path))
        reader.open()
    except FileNotFoundError as error:
        raise UserError(f"{path} is no bag: {error}", "Give the folder that holds metadata.yaml") from None
    except Exception as error:  # storage plugins raise their own errors on damaged files
        raise UserError(
            f"{path} cannot be read as a rosbag2: {error}",
            "Check it with `ros2 bag info`; an unfinished recording is repaired with `ros2 bag reindex`",
        ) from error
    try:
        yield Bag(Path(path), reader)
    finally:
        reader.close()


class Bag:
    """An open bag.

    Attributes:
        path: Where it lies.
        topics: Its topics in order of their names.
    """

    def __init__(self, path: Path, reader: Reader) -> None:
        self.path = path
        self._reader = reader
        counts: dict[tuple[str, str], int] = {}
        for connection in reader.connections:
            key = (connection.topic, connection.msgtype)
            counts[key] = counts.get(key, 0) + connection.msgcount
        self.topics = tuple(BagTopic(name, type_name, count) for (name, type_name), count in sorted(counts.items()))

    @property
    def duration_s(self) -> float:
        """Time from the first message to the last."""
        return float(self._reader.duration) / 1e9

    def topic(self, name: str) -> BagTopic | None:
        """The topic of that name, or None."""
        return next((topic for topic in self.topics if topic.name == name), None)

    def messages(self, topics: Iterable[str]) -> Iterator[BagMessage]:
        """Messages of these topics in the order of recording.

        Raises:
            UserError: The storage is damaged.
        """
        wanted = set(topics)
        connections = [connection for connection in self._reader.connections if connection.topic in wanted]
        if not connections:
            return
        try:
            for connection, stamp_ns, data in self._reader.messages(connections):
                yield BagMessage(connection.topic, stamp_ns, bytes(data))
        except (ReaderError, OSError, ValueError) as error:
            raise UserError(f"{self.path} is damaged: {error}", "Record or simulate it again") from error

    def first_message(self, topic: BagTopic) -> Any | None:
        """The first message of a topic of a standard type, deserialized; None when there is none or it is damaged."""
        for message in self.messages([topic.name]):
            return deserialize(message.data, topic.type_name)
        return None


def deserialize(data: bytes, type_name: str) -> Any | None:
    """A message of a standard type (attributes as in its definition); None when the bytes do not hold one."""
    try:
        return _STANDARD_TYPES.deserialize_cdr(data, type_name)
    except (SerdeError, KeyError, ValueError, IndexError, UnicodeDecodeError):
        return None
