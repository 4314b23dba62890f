"""GCN notices become rows of table ``gcn``: each message once, also those that cannot be used, with the reason.

Where to go on reading is what the table itself says, so there is no other state: the offset behind the last row of each
partition. A message that is no good notice costs itself; its bytes are kept.
"""

from __future__ import annotations

import math
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from fink_lib.errors import DataError, TransientError
from fink_lib.lake.tables import PARTITION
from fink_lib.science.multimessenger.notices import Notice, decode_notice
from fink_lib.streams.committed import place_of
from fink_lib.streams.kafka import client_options
from fink_lib.streams.kafka_errors import kafka_error, translate

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

TABLE = "gcn"
TIMEOUT_S = 20.0
SILENCE_S = 30.0
POLL_S = 0.5
NOTICES_AT_ONCE = 200

Place = tuple[str, int]


def take_in(lake: Lake, settings: Settings) -> int:
    """Read what GCN topics hold beyond the table, and append it.

    Parameters
    ----------
    lake : Lake
        Holds table ``gcn``.
    settings : Settings
        Where Kafka is, and the pattern of the topics.

    Returns
    -------
    int
        Messages taken in.

    Raises
    ------
    TransientError, ConfigError
        If Kafka does not answer, or refuses.
    """
    taken = 0
    consumer = Consumer(
        {
            **client_options(settings.kafka),
            "group.id": "fink-gcn",  # the client asks for one; nothing is ever committed under it
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": settings.kafka.input_max_bytes,
        }
    )
    try:
        starts = _starts(consumer, lake, settings.messengers.topics)
        if not starts:
            return 0
        consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        open_places = set(starts)
        held: list[dict[str, Any]] = []
        heard_s = time.monotonic()
        while open_places:
            message = consumer.poll(POLL_S)
            if message is None:
                if time.monotonic() - heard_s > SILENCE_S:
                    raise TransientError(f"Kafka at {settings.kafka.servers} was silent while notices were read")
                continue
            heard_s = time.monotonic()
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise translate(error, "reading notices", settings.kafka.servers)
                open_places.discard((str(message.topic()), int(message.partition() or 0)))
                continue
            held.append(row_of(message, datetime.now(UTC)))
            if len(held) >= NOTICES_AT_ONCE:
                taken += _append(lake, held)
                held = []
        return taken + _append(lake, held)
    except KafkaException as error:
        raise translate(kafka_error(error), "reading notices", settings.kafka.servers) from error
    finally:
        consumer.close()


def row_of(message: Message, now: datetime) -> dict[str, Any]:
    """Give the row of a message.

    Parameters
    ----------
    message : confluent_kafka.Message
        Not an error.
    now : datetime
        When it was read (UTC).
    """
    topic, partition, offset, stamp = place_of(message)
    payload = message.value() or b""
    row: dict[str, Any] = {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "kafka_timestamp": stamp,
        "ackTime": now,
        "raw_event": payload,
        PARTITION: stamp.strftime("%Y%m%d"),
    }
    try:
        return row | columns_of(decode_notice(payload))
    except DataError as error:
        return row | {"reason": error.reason, "detail": error.detail}


def columns_of(notice: Notice) -> dict[str, Any]:
    """Give the columns of a notice; its night is the UT date of the trigger."""
    return {
        "observatory": notice.observatory,
        "instrument": notice.instrument,
        "event": notice.event,
        "ivorn": notice.ivorn,
        "triggerId": notice.trigger_id,
        "ra": _number(notice.ra_deg),
        "dec": _number(notice.dec_deg),
        "err_arcmin": _number(notice.error_arcmin),
        "area_sr": notice.area_sr,
        "triggerTimejd": notice.trigger_jd,
        "triggerTimeUTC": notice.trigger_time,
        "gcn_status": notice.status,
        "region": notice.region.tolist() or None,
        PARTITION: notice.trigger_time.strftime("%Y%m%d"),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _starts(consumer: Consumer, lake: Lake, pattern: str) -> dict[Place, int]:
    """Give the partitions that hold more than the table does, and where to go on."""
    listed = consumer.list_topics(timeout=TIMEOUT_S).topics
    matcher = re.compile(pattern)
    places = [
        (name, partition) for name, topic in listed.items() if matcher.search(name) for partition in topic.partitions
    ]
    if not places:
        return {}
    known = _last_offsets(lake)
    starts = {}
    for topic, partition in places:
        begin, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_S)
        start = max(begin, known.get((topic, partition), -1) + 1)
        if start < end:
            starts[topic, partition] = start
    return starts


def _last_offsets(lake: Lake) -> dict[Place, int]:
    rows = lake.read(TABLE, columns=["topic", "partition", "offset"])
    last = rows.group_by(["topic", "partition"]).aggregate([("offset", "max")])
    return {(row["topic"], row["partition"]): row["offset_max"] for row in last.to_pylist()}


def _append(lake: Lake, rows: Sequence[dict[str, Any]]) -> int:
    """Append rows, once for each partition and offset."""
    by_place: dict[Place, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_place[row["topic"], row["partition"]].append(row)
    for (topic, partition), mine in by_place.items():
        table = pa.Table.from_pylist(mine, schema=lake.schema(TABLE))
        last = max(row["offset"] for row in mine)
        lake.append(TABLE, table, f"{lake.survey.name}.{TABLE}.{topic}.{partition}", last)
    return len(rows)
