"""Making a night again under fire: what is started, where it dies, who reads meanwhile, and what must come out."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from fink_lib.science.catalogs.snapshots import write_snapshot
from tests.faults.checker import (
    check_balance,
    check_cutouts,
    check_delivery,
    check_ingest,
    check_ledger,
    check_science,
    check_sent,
    say,
)
from tests.faults.evidence import Lake, Row, read_manifest, read_topics
from tests.faults.harness import INPUT, STAGES, SURVEY, Harness, Watcher

MAKING = (
    "replay_after_rejected",
    "replay_in_piece",
    "replay_after_piece",
    "replay_before_night",
    "replay_before_compare",
    "replay_before_record",
)
PROMOTING = (
    "promote_before_record",
    "promote_before_switch",
    "promote_in_switch",
    "promote_after_switch",
    "promote_after_rejected",
    "promote_before_sent",
    "heal_before_sent",
    "promote_before_end",
)
"""Every failpoint on the way, in order."""

LIVE = ("raw", "cutouts", "quarantine", "science", "rejected", "reclassified", "sent", "healed", "nights", "ledger")
CORRECTIONS = "fink_corrections_ztf"


class Reader(Watcher):
    """Reads the live night again and again, as users do, and notes each different content that it saw."""

    def __init__(self, harness: Harness, night: str) -> None:
        super().__init__("reader")
        self.seen: list[dict[int, str]] = []
        self.doubled: Counter[int] = Counter()
        self.looks = 0
        self._uri = f"{harness.settings.lake_root}/science/{SURVEY}"
        self._night = night

    def contents(self, ids: Iterable[int]) -> list[dict[int, str]]:
        """Give what was seen of some alerts, each content once, in order."""
        chosen = set(ids)
        found: list[dict[int, str]] = []
        for content in self.seen:
            part = {one: text for one, text in content.items() if one in chosen}
            if part not in found:
                found.append(part)
        return found

    def _look(self) -> None:
        while not self._ended.wait(0.3):
            ids, texts = labels(self._uri, self._night)
            self.doubled.update(one for one, times in Counter(ids).items() if times > 1)
            content = dict(zip(ids, texts, strict=True))
            if not self.seen or self.seen[-1] != content:
                self.seen.append(content)
            self.looks += 1


def labels(uri: str, night: str) -> tuple[list[int], list[str]]:
    """Read the alerts of a night, with what a replay may change in them."""
    rows = DeltaTable(uri).to_pyarrow_table(
        filters=[("night", "=", night)], columns=["candid", "finkclass", "cdsxmatch", "fink_versions"]
    )
    texts = (repr([row["finkclass"], row["cdsxmatch"], row["fink_versions"]]) for row in rows.to_pylist())
    return rows.column("candid").to_pylist(), list(texts)


def install_types(harness: Harness, night: str, label: str) -> set[int]:
    """Install a catalogue that says `label` at the places of some alerts of the night; gives their ids."""
    uri = f"{harness.settings.lake_root}/raw/{SURVEY}"
    rows = DeltaTable(uri).to_pyarrow_table(filters=[("night", "=", night)], columns=["candid", "candidate"])
    chosen = rows.filter(pc.equal(pc.bit_wise_and(rows.column("candid"), pa.scalar(3, pa.int64())), 0))
    place = chosen.column("candidate").combine_chunks()
    size = chosen.num_rows
    sources = pa.table(
        {
            "ra": place.field("ra"),
            "dec": place.field("dec"),
            "name": chosen.column("candid").cast(pa.string()),
            "main_type": [label] * size,
        }
    )
    write_snapshot("simbad", sources, harness.settings.catalog_dir, "a test", version=label, replace=True)
    harness.note(f"the catalogue says {label} of {size} alerts")
    return set(chosen.column("candid").to_pylist())


def fingerprint(harness: Harness) -> dict[str, str]:
    """Give the digest of every file of the live tables, their logs included."""
    root = Path(harness.settings.lake_root)
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for table in LIVE
        for path in sorted((root / table).rglob("*"))
        if path.is_file()
    }


def record(harness: Harness, night: str) -> Row:
    """Read what the installation knows of the replay; nothing if there is none."""
    file = harness.settings.home / "replays" / SURVEY / f"{night}.json"
    told: Row = json.loads(file.read_text()) if file.exists() else {}
    return told


def digests(harness: Harness, night: str) -> dict[str, Any]:
    """Give rows and digest of each table that the replay made, when it was compared."""
    content: dict[str, Any] = record(harness, night)["content"]
    return {table: content[table] for table in ("science", "rejected", "reclassified")}


def would_change(harness: Harness, night: str) -> list[str]:
    """Name the tables that the last replay would change."""
    file = harness.settings.report_dir(SURVEY, night) / "replay" / "difference.json"
    return [name for name, sides in json.loads(file.read_text())["tables"].items() if not sides["equal"]]


def bring_late(harness: Harness, night: str, seed: int, number: int = 12) -> None:
    """Let alerts of the night arrive now, and the streams take them in; the catalogues stay as they are."""
    catalogs = harness.settings.catalog_dir
    safe = catalogs.rename(catalogs.with_name("safe"))  # the simulator brings those of its own sky
    try:
        harness.feed("--synthetic", str(number), "--seed", str(seed), "--clock", "max", "--night", night)
    finally:
        shutil.rmtree(catalogs, ignore_errors=True)
        safe.rename(catalogs)
    assert [harness.once(stage) for stage in STAGES] == [0, 0, 0]


def check_whole(harness: Harness) -> list[str]:
    """Check that each message is one row, each row one alert, each alert sent once; whatever was replayed."""
    inputs = read_topics(harness.settings.kafka.servers, INPUT)
    outputs = read_topics(harness.settings.kafka.servers, "fink_.*_ztf")
    messages = [message for records in inputs.values() for message in records]
    manifest = [row for path in harness.manifests for row in read_manifest(path)]
    lake = Lake.read(harness.settings.lake_root)
    streamed = replace(lake, sent=[row for row in lake.sent if not str(row["batch"]).startswith("heal-")])
    told = Counter(
        (topic, message.headers["fink-alert-id"], message.headers["fink-filter-version"] * (topic == CORRECTIONS))
        for topic, records in outputs.items()
        for message in records
    )
    return [
        *check_delivery(manifest, messages),
        *check_ingest(messages, lake),
        *check_cutouts(messages, lake),
        *check_science(lake),
        *check_balance(messages, lake),
        *check_sent(lake, outputs),
        *check_ledger(streamed),
        *say("topics: {n} alert(s) were told twice: {who}", [" ".join(one) for one, n in told.items() if n > 1]),
    ]


def corrected(harness: Harness, number: int) -> set[int]:
    """Give the alerts that a promotion has corrected in the topic of corrections."""
    messages = read_topics(harness.settings.kafka.servers, CORRECTIONS).get(CORRECTIONS, [])
    return {int(one.headers["fink-alert-id"]) for one in messages if one.headers["fink-filter-version"] == str(number)}


def await_state(harness: Harness, night: str, state: str, timeout_s: float = 120.0) -> None:
    """Wait until the replay is in a state."""
    deadline = time.monotonic() + timeout_s
    while record(harness, night).get("state") != state:
        assert time.monotonic() < deadline, f"the replay is {record(harness, night).get('state')}, not {state}"
        time.sleep(0.02)
