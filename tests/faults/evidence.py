"""What the broker left behind, read without any of its code: Kafka topics, Delta tables, HBase rows.

Nothing here imports the package under test. A reader that shared a codec or a name with the writers could be wrong in
the same way as they are, and would then see nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec
from deltalake import DeltaTable

Row = dict[str, Any]
Place = tuple[str, int, int]
"""Topic, partition, offset."""

CUTOUTS = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
POLL_S = 0.2
ATTEMPTS = 20
_SCHEMAS: dict[bytes, Any] = {}


@dataclass(frozen=True)
class Message:
    """One committed Kafka record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where it is; unique in a cluster."""
        return (self.topic, self.partition, self.offset)

    @property
    def sha256(self) -> str:
        """Digest of the value; of nothing if the value is null."""
        return hashlib.sha256(self.value or b"").hexdigest()

    def alert(self) -> Row | None:
        """Decode an input message; None if no broker could make a row of it (see :func:`decode_alert`)."""
        return decode_alert(self.value)

    def packet(self) -> Row:
        """Decode an output message with the schema that its key carries."""
        if not self.key or self.value is None:
            raise ValueError(f"message {self.place} has no schema in its key or no value")
        if self.key not in _SCHEMAS:
            _SCHEMAS[self.key] = fastavro.parse_schema(json.loads(self.key))
        body = io.BytesIO(self.value)
        record = fastavro.schemaless_reader(body, _SCHEMAS[self.key], None)
        if body.read(1):
            raise ValueError(f"message {self.place} has bytes after its record")
        if not isinstance(record, dict):
            raise ValueError(f"message {self.place} holds no record")
        return record


def decode_alert(value: bytes | None, largest: int = 8 * 1024 * 1024) -> Row | None:
    """Decode one ZTF alert; None for a message that has to end in quarantine.

    A usable message is an Avro container of at most `largest` bytes with exactly one record and nothing behind it,
    with an id, a finite time and a finite position on the sphere.
    """
    if not value or len(value) > largest:
        return None
    try:
        records = list(fastavro.reader(io.BytesIO(value)))
    except (ValueError, EOFError, IndexError, KeyError, TypeError, OSError, OverflowError, UnicodeDecodeError):
        return None
    except Exception as error:  # the C reader raises its own, undeclared kinds
        if type(error).__module__.startswith("fastavro"):
            return None
        raise
    if len(records) != 1 or not isinstance(records[0], dict):
        return None
    alert = records[0]
    candidate = alert.get("candidate")
    if not isinstance(candidate, dict) or not isinstance(alert.get("candid"), int):
        return None
    jd, ra, dec = (candidate.get(name) for name in ("jd", "ra", "dec"))
    if not all(isinstance(number, float) for number in (jd, ra, dec)):
        return None
    inside = 0.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0 and 2_400_000.5 < jd < 2_500_000.5
    return alert if inside else None


def read_topics(servers: str, pattern: str) -> dict[str, list[Message]]:
    """Read all committed records of the topics whose names match, from the first to the last.

    Raises
    ------
    AssertionError
        If a transaction is still open on one of them: what it holds is neither there nor not there.
    """
    client = {"bootstrap.servers": servers, "client.id": "checker"}
    found = AdminClient(client).list_topics(timeout=30).topics
    names = sorted(name for name in found if re.fullmatch(pattern, name))
    places = [(name, partition) for name in names for partition in found[name].partitions]
    topics: dict[str, list[Message]] = {name: [] for name in names}
    if not places:
        return topics
    stable, end = (_ends(client, places, level) for level in (IsolationLevel.READ_COMMITTED, None))
    waiting = sorted(
        f"{topic}/{partition}" for topic, partition in places if stable[topic, partition] < end[topic, partition]
    )
    if waiting:
        raise AssertionError(f"a transaction is open on {', '.join(waiting)}")
    consumer = Consumer(
        client
        | {
            "group.id": "checker",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.message.max.bytes": 64 * 1024 * 1024,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in places])
        open_ends = set(places)
        quiet = 0
        while open_ends:
            record = consumer.poll(POLL_S)
            if record is None:
                quiet += 1
                if quiet > 30 / POLL_S:
                    raise AssertionError(f"Kafka gave nothing for 30 s; not read to the end: {sorted(open_ends)}")
                continue
            quiet = 0
            problem = record.error()
            if problem is not None:
                if problem.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(problem)
                open_ends.discard((record.topic(), record.partition()))
                continue
            headers = {name: (text or b"").decode() for name, text in record.headers() or []}
            topics[record.topic()].append(
                Message(record.topic(), record.partition(), record.offset(), record.key(), record.value(), headers)
            )
    finally:
        consumer.close()
    return topics


def _ends(client: dict[str, str], places: Iterable[tuple[str, int]], level: Any) -> dict[tuple[str, int], int]:
    """Ask for the offset behind the last record of each partition; a broker that has just started may need a while."""
    options = {"isolation_level": level} if level is not None else {}
    asked = {TopicPartition(topic, partition): OffsetSpec.latest() for topic, partition in places}
    admin = AdminClient(client)
    for left in reversed(range(ATTEMPTS)):
        answers = admin.list_offsets(asked, request_timeout=30, **options)
        try:
            return {(place.topic, place.partition): future.result().offset for place, future in answers.items()}
        except KafkaException:
            if not left:
                raise
            time.sleep(1.0)
    raise AssertionError("unreachable")


def read_table(root: str | Path, table: str, survey: str = "ztf") -> list[Row]:
    """Read all rows of a Delta table as plain Python values; none if there is no such table."""
    uri = f"{str(root).rstrip('/')}/{table}/{survey}"
    if not DeltaTable.is_deltatable(uri):
        return []
    rows: pa.Table = DeltaTable(uri).to_pyarrow_table()
    return rows.to_pylist(maps_as_pydicts="strict")


@dataclass(frozen=True)
class Lake:
    """The tables that the checker looks at."""

    raw: list[Row]
    cutouts: list[Row]
    quarantine: list[Row]
    science: list[Row]
    rejected: list[Row]
    sent: list[Row]
    ledger: list[Row]
    reclassified: list[Row]

    @classmethod
    def read(cls, root: str | Path, survey: str = "ztf") -> Lake:
        """Read a lake from the disk."""
        return cls(**{table: read_table(root, table, survey) for table in cls.__dataclass_fields__})


def origin(row: Row) -> Place:
    """Place in Kafka from which a row of ``raw``, ``science``, ``quarantine`` or ``rejected`` came."""
    source = row.get("ingest") or row
    return (source["topic"], source["partition"], source["offset"])


def read_manifest(path: Path) -> list[Row]:
    """Read what the producer says it delivered: one object per message with id, topic, partition, offset, sha256."""
    return [row for row in _json_rows(path.read_text()) if "offset" in row]


def _json_rows(text: str) -> Iterator[Row]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        yield from (json.loads(line) for line in text.splitlines() if line.strip())
        return
    yield from whole["messages"] if isinstance(whole, dict) else whole
