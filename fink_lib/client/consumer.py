"""Reads alerts from topics: each one once, and a message counts as read only when the caller is done with it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from fink_lib.client.decode import Decoder, WriterSchema
from fink_lib.client.files import write_alert_file
from fink_lib.client.kafka import ANSWER_S, explain, is_refusal, kafka_options, place_of
from fink_lib.client.names import file_stem, topics_of
from fink_lib.errors import ConfigError, DataError, FinkError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from confluent_kafka import Message

log = logging.getLogger(__name__)

STEP_S = 0.5
"""How long alerts are waited for to share a table; what came by then is given."""
Nothing = tuple[None, None, None]


@dataclass(frozen=True)
class Received:
    """A message and the alert in it.

    Parameters
    ----------
    topic, partition, offset
        Where it was.
    key, value : bytes
        As they came.
    alert : dict
        The decoded alert.
    schema : WriterSchema
        What wrote it.
    """

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    alert: dict[str, Any]
    schema: WriterSchema


class AlertConsumer:
    """Consumes alerts of some topics.

    What :meth:`poll` and :meth:`consume` gave counts as done when the caller asks for more, calls :meth:`commit`, or
    closes the consumer. If an exception leaves the ``with`` block, what was given last is given again next time.

    Parameters
    ----------
    topics : sequence of str
        Names, or regular expressions that begin with ``^``. May be empty, to look at the cluster only.
    config : mapping
        ``bootstrap.servers`` and ``group.id`` (or ``group_id``); ``username`` and ``password`` for SASL; further
        options of librdkafka as they are.
    survey : str, optional
        ``ztf`` or ``lsst``; found out by each alert if not given.
    schema_path : str or Path, optional
        Schema file, or folder of them, for messages whose key is no schema.
    dump_schema : bool
        Write each new schema into the working folder.
    on_assign : callable, optional
        Called with the librdkafka consumer and the partitions when partitions are assigned.

    Raises
    ------
    ConfigError
        If the configuration cannot be used.
    """

    def __init__(
        self,
        topics: Sequence[str] | None,
        config: Mapping[str, Any],
        survey: str | None = None,
        schema_path: str | Path | None = None,
        dump_schema: bool = False,
        on_assign: Callable[[Any, list[TopicPartition]], None] | None = None,
    ) -> None:
        self.survey = survey
        self._servers = str(config.get("bootstrap.servers", ""))
        self._decoder = Decoder(schema_path)
        self._dump_schema = dump_schema
        self._dumped: set[str] = set()
        self._given: dict[tuple[str, int], int] = {}
        self._later: list[FinkError] = []
        self._reached = False
        self._closed = False
        try:
            self._consumer = Consumer({**kafka_options(config), "error_cb": self._failed})
            if topics:
                known = {} if on_assign is None else {"on_assign": on_assign}
                self._consumer.subscribe(list(topics), **known)
        except KafkaException as error:
            raise ConfigError(f"the Kafka configuration cannot be used: {error.args[0]}") from error

    # -- one after the other ------------------------------------------------------------------------------------------

    def poll(self, timeout: float = -1) -> tuple[str, dict[str, Any], str] | Nothing:
        """Wait for one alert.

        Parameters
        ----------
        timeout : float
            Longest wait, seconds; -1 waits for ever.

        Returns
        -------
        topic, alert, key
            Three None if nothing came.

        Raises
        ------
        DataError
            If the message cannot be read; the next call goes on behind it.
        ConfigError, TransientError
            If the servers refuse or fail.
        """
        found = self.consume(1, timeout)
        return found[0] if found else (None, None, None)

    def consume(self, num_alerts: int = 1, timeout: float = -1) -> list[tuple[str, dict[str, Any], str]]:
        """Wait for several alerts; gives what came, at most `num_alerts`, within `timeout` seconds (-1: for ever)."""
        return [(one.topic, one.alert, one.key.decode(errors="replace")) for one in self._readable(num_alerts, timeout)]

    def poll_and_write(
        self, outdir: str | Path, timeout: float = -1, overwrite: bool = False
    ) -> tuple[str, dict[str, Any], str] | Nothing:
        """Wait for one alert and write it as an Avro file, named as ``fink-client`` does.

        Parameters
        ----------
        outdir : str or Path
            The folder; it must exist.
        timeout : float
            Longest wait, seconds; -1 waits for ever.
        overwrite : bool
            Replace a file of the same name.

        Raises
        ------
        ConfigError
            If the file is there already.
        """
        received = self._readable(1, timeout)
        if not received:
            return None, None, None
        one = received[0]
        try:
            path = Path(outdir) / f"{file_stem(one.alert, one.topic, self.survey)}.avro"
            if path.exists() and not overwrite:
                raise ConfigError(f"{path} is there already; allow to overwrite it, or choose another folder")
            write_alert_file(path, one.schema.container(one.value))
        except FinkError:
            self.forget()
            raise
        return one.topic, one.alert, one.key.decode(errors="replace")

    def alerts(self, timeout: float = -1, limit: int | None = None) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Iterate over alerts until nothing came for `timeout` seconds, or `limit` of them came."""
        number = 0
        while limit is None or number < limit:
            topic, alert, key = self.poll(timeout)
            if topic is None or alert is None or key is None:
                if timeout < 0:
                    continue
                return
            number += 1
            yield topic, alert, key

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Iterate over alerts without end."""
        return self.alerts()

    # -- many at once -------------------------------------------------------------------------------------------------

    def tables(self, size: int = 500, timeout: float = 10.0) -> Iterator[tuple[str, pa.Table]]:
        """Iterate over Arrow tables, each of one topic and one schema, until nothing came for `timeout` seconds.

        Parameters
        ----------
        size : int
            Most alerts that are held at once; fewer are given if they come slowly.
        timeout : float
            Seconds; -1 never ends.
        """
        heard_s = time.monotonic()
        while timeout < 0 or time.monotonic() - heard_s < timeout:
            received = self._readable(size, STEP_S)
            if received:
                heard_s = time.monotonic()
            for group in grouped(received):
                yield group[0].topic, group[0].schema.table([one.alert for one in group])

    def frames(self, size: int = 500, timeout: float = 10.0) -> Iterator[tuple[str, pd.DataFrame]]:
        """Iterate over pandas frames, as :meth:`tables` does."""
        for topic, table in self.tables(size, timeout):
            yield topic, table.to_pandas()

    def receive(self, number: int, timeout: float) -> tuple[list[Received], list[DataError]]:
        """Wait for messages, and tell those that cannot be read apart; none is done before :meth:`commit`.

        Parameters
        ----------
        number : int
            At most.
        timeout : float
            Longest wait, seconds; -1 waits for ever.

        Returns
        -------
        received, bad
            Alerts in the order in which they came, and an error for every other message.
        """
        if self._later:
            raise self._later.pop(0)
        try:
            messages = self._consumer.consume(number, timeout)
        except KafkaException as error:
            raise explain(error.args[0], self._servers) from error
        received, bad = [], []
        for message in messages:
            if (refused := message.error()) is not None:
                self._later.append(explain(refused, self._servers))
                continue
            self._reached = True
            topic, partition, offset = place_of(message)
            self._given[topic, partition] = offset + 1
            try:
                received.append(self._read(message))
            except DataError as error:
                bad.append(DataError(error.reason, f"{topic}[{partition}] offset {offset}: {error.detail}"))
        if self._later and not received and not bad:
            raise self._later.pop(0)
        return received, bad

    def _readable(self, number: int, timeout: float) -> list[Received]:
        """Wait for messages; the error of one that cannot be read is raised when the good ones have been given."""
        self._finish_given()
        received, bad = self.receive(number, timeout)
        self._later += bad
        if self._later and not received:
            raise self._later.pop(0)
        return received

    def _read(self, message: Message) -> Received:
        key, value = message.key() or b"", message.value()
        alert, schema = self._decoder.decode(key, value)
        if self._dump_schema and schema.avro.fingerprint not in self._dumped:
            self._dumped.add(schema.avro.fingerprint)
            today = datetime.now(UTC).isoformat()
            Path(f"schema_{today}.json").write_text(json.dumps(json.loads(schema.text), indent=4, sort_keys=True))
        assert isinstance(value, bytes)
        return Received(*place_of(message), key, value, alert, schema)

    # -- place in the topics ------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Tell the servers now that everything given so far is done.

        Raises
        ------
        TransientError
            If they did not hear it; the alerts may then come again.
        """
        self._finish_given()
        try:
            self._consumer.commit(asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._NO_OFFSET:
                raise explain(error.args[0], self._servers) from error

    def forget(self) -> None:
        """Take what was given last as not done: it comes again when the group is read next."""
        self._given.clear()

    def _finish_given(self) -> None:
        """Mark what the caller is done with; the client commits it in the background."""
        for (topic, partition), offset in self._given.items():
            try:
                self._consumer.store_offsets(offsets=[TopicPartition(topic, partition, offset)])
            except KafkaException as error:
                # the partition went to another member of the group, who gets the message again
                if error.args[0].code() != KafkaError._STATE:
                    raise explain(error.args[0], self._servers) from error
        self._given.clear()

    def has_place(self) -> bool:
        """Tell whether the group has given this consumer partitions to read."""
        return bool(self._consumer.assignment())

    # -- the cluster --------------------------------------------------------------------------------------------------

    def available_topics(self, service: str = "livestream") -> list[str]:
        """Give the topics of a service: ``livestream``, ``datatransfer`` or ``xmatch``."""
        return topics_of(self.all_topics(), service)

    def all_topics(self) -> list[str]:
        """Give every topic of the cluster that this user may see.

        Raises
        ------
        ConfigError, TransientError
            If the servers refuse, or do not answer.
        """
        try:
            names = sorted(self._consumer.list_topics(timeout=ANSWER_S).topics)
        except KafkaException as error:
            self._consumer.poll(0)  # lets the client say why, which only a poll makes it do
            raise self._later.pop(0) if self._later else explain(error.args[0], self._servers) from error
        self._reached = True
        return names

    def close(self) -> None:
        """Leave the group; everything given counts as done."""
        if not self._closed:
            self._finish_given()
            self._closed = True
            self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.forget()
        self.close()

    def _failed(self, error: KafkaError) -> None:
        """Take note of what the client says by itself: a refusal ends the reading, all else it mends."""
        if is_refusal(error):
            self._later = [explain(error, self._servers)]
        elif error.code() == KafkaError._ALL_BROKERS_DOWN and self._reached:
            # said once for each time that they are away, not for each of its attempts
            self._reached = False
            log.warning("Kafka at %s is away; reading goes on when it is back", self._servers)


def grouped(received: Sequence[Received]) -> list[list[Received]]:
    """Part messages by topic and schema, each part in the order in which they came."""
    groups: dict[tuple[str, str], list[Received]] = {}
    for one in received:
        groups.setdefault((one.topic, one.schema.avro.fingerprint), []).append(one)
    return list(groups.values())
