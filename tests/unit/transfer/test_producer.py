"""The producer of a transfer where there is no broker: it gives nothing up in silence."""

from __future__ import annotations

import pytest

from fink_lib.config import KafkaSettings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.transfer import producer
from fink_lib.transfer.producer import PlainProducer

NOBODY = KafkaSettings(bootstrap_servers="127.0.0.1:9", message_max_bytes=10_000)


def test_a_row_that_no_topic_takes_is_refused_with_a_way_out() -> None:
    sender = PlainProducer(NOBODY)
    with pytest.raises(ConfigError, match="a row of 9000 bytes is more than kafka.message_max_bytes.*medium"):
        sender.send("ftransfer", 0, 0, b"key", bytes(9000))
    sender.flush()  # nothing was handed over
    sender.close()


def test_a_broker_that_takes_nothing_ends_the_run_and_not_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "STALLED_S", 0.5)
    sender = PlainProducer(NOBODY)
    sender.send("ftransfer", 0, 0, b"key", b"row")
    with pytest.raises(TransientError, match="took nothing for .*it goes on where it is"):
        sender.flush()
    assert sender.delivered == 0
    sender.close()
