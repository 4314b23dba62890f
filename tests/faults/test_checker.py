"""The checker itself: a whole small world passes, and each row dropped, doubled or altered is named."""

from __future__ import annotations

import copy
import io
import json

import fastavro
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from tests.faults.checker import check_all
from tests.faults.compare import night_of
from tests.faults.evidence import Lake, Message, read_manifest

TOPIC = "ztf_20181129_programid1"
NIGHT = "20181129"
JD = 2458451.75
CUTOUT = {
    "type": "record",
    "name": "cutout",
    "fields": [{"name": "fileName", "type": "string"}, {"name": "stampData", "type": "bytes"}],
}
CANDIDATE = {
    "jd": "double",
    "ra": "double",
    "dec": "double",
    "magpsf": "float",
    "rb": "float",
    "nbad": "int",
    "fid": "int",
}
ALERT = {
    "type": "record",
    "name": "alert",
    "fields": [
        {"name": "candid", "type": "long"},
        {"name": "objectId", "type": "string"},
        {
            "name": "candidate",
            "type": {
                "type": "record",
                "name": "candidate",
                "fields": [{"name": name, "type": kind} for name, kind in CANDIDATE.items()],
            },
        },
        {"name": "cutoutScience", "type": ["null", CUTOUT], "default": None},
        {"name": "cutoutTemplate", "type": ["null", "cutout"], "default": None},
        {"name": "cutoutDifference", "type": ["null", "cutout"], "default": None},
    ],
}
PACKET = {
    **ALERT,
    "fields": [
        *ALERT["fields"],
        {"name": "roid", "type": "int"},
        {"name": "finkclass", "type": "string"},
        {"name": "fink_status", "type": {"type": "map", "values": "string"}},
    ],
}
TAKEN_BY = {"sso_ztf_candidates": 1, "sso_fink_candidates": 2, "unknowns": 3}
SCIENCE = {1: (3, "Solar System MPC"), 2: (2, "Solar System candidate"), 3: (0, "Unknown"), 4: (0, "Star")}


def alert(candid, rb=0.9):
    stamp = {"fileName": f"{candid}.fits.gz", "stampData": f"image {candid}".encode()}
    return {
        "candid": candid,
        "objectId": f"ZTF18aaaaaa{candid}",
        "candidate": {"jd": JD, "ra": 10.0 + candid, "dec": -5.0, "magpsf": 18.5, "rb": rb, "nbad": 0, "fid": 1},
        "cutoutScience": stamp,
        "cutoutTemplate": stamp,
        "cutoutDifference": stamp,
    }


def container(record):
    body = io.BytesIO()
    fastavro.writer(body, fastavro.parse_schema(ALERT), [record])
    return body.getvalue()


def packet_message(topic, offset, record):
    candid = record["candid"]
    roid, finkclass = SCIENCE[candid]
    body = io.BytesIO()
    status = {"simbad": "no_match"}
    packet = record | {"roid": roid, "finkclass": finkclass, "fink_status": status}
    fastavro.schemaless_writer(body, fastavro.parse_schema(PACKET), packet)
    headers = {"fink-alert-id": str(candid)}
    return Message(topic, 0, offset, json.dumps(PACKET).encode(), body.getvalue(), headers)


class World:
    """Four good alerts, a copy of the first, one cut and one bad message, all where they belong."""

    def __init__(self):
        sent_in = [alert(1), alert(2), alert(3), alert(4), alert(1), alert(5, rb=0.1)]
        values = [*map(container, sent_in), container(alert(6))[:-9]]
        self.messages = [Message(TOPIC, 0, n, None, value) for n, value in enumerate(values)]
        self.raw = [self._raw(n, record) for n, record in enumerate(sent_in)]
        self.cutouts = [
            {"alert_id": record["candid"], "batch": f"g1-{n}", "night": NIGHT}
            | {name: f"image {record['candid']}".encode() for name in ("science", "template", "difference")}
            for n, record in enumerate(sent_in)
        ]
        bad = self.messages[6]
        self.quarantine = [
            {**self._place(6), "reason": "truncated", "payload": bad.value, "sha256": bad.sha256, "night": NIGHT}
        ]
        self.science = [
            row | {"roid": SCIENCE[n + 1][0], "finkclass": SCIENCE[n + 1][1], "fink_status": {"simbad": "no_match"}}
            for n, row in enumerate(copy.deepcopy(self.raw[:4]))
        ]
        self.reclassified = []
        self.rejected = [
            {**self._place(4), "alert_id": 1, "reason": "duplicate", "night": NIGHT},
            {**self._place(5), "alert_id": 5, "reason": "rb", "night": NIGHT},
        ]
        takes = TAKEN_BY
        self.outputs = {f"fink_{f}_ztf": [packet_message(f"fink_{f}_ztf", 8, alert(i))] for f, i in takes.items()}
        self.sent = [
            {"alert_id": i, "filter": f, "topic": f"fink_{f}_ztf", "partition": 0, "offset": 8, "night": NIGHT}
            for f, i in takes.items()
        ]
        self.ledger = [
            self._ledger("stream2raw", received=7, produced=6, quarantined=1),
            self._ledger("raw2science", received=6, produced=4, rejected=1, duplicates=1),
            self._ledger("distribution", received=4, sent=3),
        ]
        self.manifest = [self._place(n) | {"sha256": m.sha256} for n, m in enumerate(self.messages)]

    def _raw(self, n, record):
        stored = {name: value for name, value in copy.deepcopy(record).items() if not name.startswith("cutout")}
        ingest = self._place(n) | {"sha256": self.messages[n].sha256, "batch": f"g1-{n}"}
        return stored | {"ingest": ingest, "night": NIGHT}

    @staticmethod
    def _place(n):
        return {"topic": TOPIC, "partition": 0, "offset": n}

    @staticmethod
    def _ledger(stage, **counts):
        names = ("received", "produced", "quarantined", "rejected", "duplicates", "sent")
        return {"stage": stage, "batch": "g1-0", "night": NIGHT} | {name: counts.get(name, 0) for name in names}

    def problems(self, folder):
        """Write the tables as Delta, read them back and check."""
        for table in Lake.__dataclass_fields__:
            rows = getattr(self, table)
            if rows:
                write_deltalake(folder / table / "ztf", pa.Table.from_pylist(rows, schema=SCHEMAS.get(table)))
        return check_all(self.messages, Lake.read(folder), self.outputs, self.manifest)


_CANDIDATE = pa.struct(
    [
        (name, {"double": pa.float64(), "float": pa.float32(), "int": pa.int32()}[kind])
        for name, kind in CANDIDATE.items()
    ]
)
_INGEST = pa.struct(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("sha256", pa.string()),
        ("batch", pa.string()),
    ]
)
_RAW = [
    ("candid", pa.int64()),
    ("objectId", pa.string()),
    ("candidate", _CANDIDATE),
    ("ingest", _INGEST),
    ("night", pa.string()),
]
SCHEMAS = {
    "raw": pa.schema(_RAW),
    "science": pa.schema(
        [
            *_RAW,
            ("roid", pa.int32()),
            ("finkclass", pa.string()),
            ("tracklet", pa.string()),
            ("fink_status", pa.map_(pa.string(), pa.string())),
        ]
    ),
}


@pytest.fixture
def world():
    return World()


def test_a_whole_world_passes(world, tmp_path):
    assert world.problems(tmp_path) == []


def test_an_alert_that_was_sent_before_its_tracklet_was_found_is_compared_with_what_it_was(world, tmp_path):
    status = {"simbad": "no_match", "tracklet": "ok"}
    world.science[2] |= {"tracklet": "TRCK_1", "finkclass": "Tracklet", "fink_status": status}
    assert any("candid 3" in problem for problem in world.problems(tmp_path / "unexplained"))
    change = {"alert_id": 3, "column": "finkclass", "before": "Unknown", "after": "Tracklet", "night": NIGHT}
    world.reclassified = [change]
    assert world.problems(tmp_path / "explained") == []


@pytest.mark.parametrize(
    ("table", "row", "words"),
    [
        ("raw", 1, ("raw + quarantine: 1 message(s) are missing", f"{TOPIC}/0/1")),
        ("quarantine", 0, ("raw + quarantine: 1 message(s) are missing", f"{TOPIC}/0/6")),
        ("cutouts", 2, ("cutouts: 1 alert(s) lost their images", "candid 3")),
        ("science", 3, ("science + rejected: 1 row(s) of raw are missing", "candid 4")),
        ("rejected", 1, ("science + rejected: 1 row(s) of raw are missing", "candid 5")),
        ("sent", 0, ("sent: 1 message(s) of the topics have no row", "fink_sso_ztf_candidates_ztf/0/8")),
        ("ledger", 1, ("ledger: night 20181129, raw2science: received is 0, the tables say 6",)),
    ],
)
def test_a_dropped_row_is_named(world, tmp_path, table, row, words):
    del getattr(world, table)[row]
    problems = world.problems(tmp_path)
    assert any(all(word in sentence for word in words) for sentence in problems), problems


@pytest.mark.parametrize(
    ("table", "row", "words"),
    [
        ("raw", 1, ("raw + quarantine: 1 message(s) are there twice", f"{TOPIC}/0/1")),
        ("quarantine", 0, ("raw + quarantine: 1 message(s) are there twice", f"{TOPIC}/0/6")),
        ("cutouts", 2, ("cutouts: 1 alert(s) have images too often", "candid 3")),
        ("science", 3, ("science: 1 alert(s) are doubled", "candid 4")),
        ("rejected", 1, ("science + rejected: 1 row(s) of raw are there twice", "candid 5")),
        ("sent", 0, ("sent: 1 message(s) have two rows", "fink_sso_ztf_candidates_ztf/0/8")),
        ("ledger", 1, ("ledger: 1 batch(es) are there twice", "raw2science g1-0")),
    ],
)
def test_a_doubled_row_is_named(world, tmp_path, table, row, words):
    rows = getattr(world, table)
    rows.append(copy.deepcopy(rows[row]))
    problems = world.problems(tmp_path)
    assert any(all(word in sentence for word in words) for sentence in problems), problems


def _set(row, path, value):
    *parents, leaf = path.split(".")
    for name in parents:
        row = row[name]
    row[leaf] = value


@pytest.mark.parametrize(
    ("table", "row", "path", "value", "words"),
    [
        (
            "raw",
            1,
            "candidate.magpsf",
            18.25,
            ("raw: 1 row(s) differ from their message", "candid 2 (candidate.magpsf)"),
        ),
        ("raw", 1, "night", "20181130", ("raw: 1 row(s) are in the wrong night", "candid 2")),
        ("raw", 1, "ingest.sha256", "0", ("raw: 1 row(s) carry another digest", f"{TOPIC}/0/1")),
        ("quarantine", 0, "payload", b"x", ("quarantine: 1 row(s) hold other bytes", f"{TOPIC}/0/6")),
        ("quarantine", 0, "reason", None, ("quarantine: 1 row(s) have no reason", f"{TOPIC}/0/6")),
        ("cutouts", 2, "difference", b"x", ("cutouts: 1 alert(s) have other images", "candid 3")),
        ("science", 3, "candidate.jd", JD + 1, ("science: 1 row(s) differ from raw", "candid 4 (candidate.jd)")),
        ("science", 3, "ingest.offset", 5, ("science: 1 row(s) differ from raw", "candid 4 (candid")),
        ("science", 3, "roid", 3, ("fink_sso_ztf_candidates_ztf: 1 alert(s) are missing", "candid 4")),
        ("science", 0, "roid", 0, ("fink_sso_ztf_candidates_ztf: 1 alert(s) do not belong there", "candid 1")),
        (
            "science",
            0,
            "finkclass",
            "Star",
            ("fink_sso_ztf_candidates_ztf: 1 message(s) differ", "candid 1 (finkclass)"),
        ),
        ("rejected", 1, "reason", "duplicate", ("rejected: 1 duplicate(s) of an alert that science lacks", "candid 5")),
        ("rejected", 0, "reason", "rb", ("rejected: 1 alert(s) that pass the quality cuts were cut", "candid 1 (rb)")),
        ("rejected", 0, "alert_id", 2, ("rejected: 1 row(s) name another alert than raw", f"{TOPIC}/0/4")),
        ("sent", 0, "alert_id", 2, ("sent: 1 row(s) name another alert or topic", "candid 2")),
        ("sent", 0, "offset", 9, ("sent: 1 row(s) name no message", "fink_sso_ztf_candidates_ztf/0/9")),
        ("sent", 0, "night", "20181130", ("sent: 1 row(s) are in another night", "candid 1")),
        ("ledger", 2, "sent", 4, ("ledger: night 20181129, distribution: sent is 4, the tables say 3",)),
    ],
)
def test_an_altered_row_is_named(world, tmp_path, table, row, path, value, words):
    _set(getattr(world, table)[row], path, value)
    problems = world.problems(tmp_path)
    assert any(all(word in sentence for word in words) for sentence in problems), problems


def test_a_bad_message_that_became_a_row_is_named(world, tmp_path):
    world.messages[1] = Message(TOPIC, 0, 1, None, b"")
    assert any(f"raw: 1 bad message(s) became rows: {TOPIC}/0/1" in sentence for sentence in world.problems(tmp_path))


def test_a_good_message_in_quarantine_is_named(world, tmp_path):
    world.messages[6] = Message(TOPIC, 0, 6, None, container(alert(6)))
    problems = world.problems(tmp_path)
    assert any(
        "quarantine: 1 good message(s) ended there" in sentence and "candid 6" in sentence for sentence in problems
    )


@pytest.mark.parametrize("name", TAKEN_BY)
def test_a_message_lost_or_sent_twice_is_named(world, tmp_path, name):
    topic = f"fink_{name}_ztf"
    (message,) = world.outputs[topic]
    candid = message.headers["fink-alert-id"]
    world.outputs[topic] = []
    lost = world.problems(tmp_path / "lost")
    assert f"{topic}: 1 alert(s) are missing: candid {candid}" in lost
    assert f"sent: 1 row(s) name no message: {topic}/0/8" in lost
    world.outputs[topic] = [message, Message(topic, 0, 9, message.key, message.value, message.headers)]
    twice = world.problems(tmp_path / "twice")
    assert f"{topic}: 1 alert(s) are there twice: candid {candid}" in twice
    assert f"sent: 1 message(s) of the topics have no row: {topic}/0/9" in twice


def test_a_message_that_kafka_lost_after_it_was_acknowledged_is_named(world, tmp_path):
    world.manifest.append({"topic": TOPIC, "partition": 0, "offset": 7, "sha256": "0"})
    world.manifest[2]["sha256"] = "0"
    problems = world.problems(tmp_path)
    assert f"input topics: 1 acknowledged message(s) are gone: {TOPIC}/0/7" in problems
    assert f"input topics: 1 message(s) hold other bytes than were sent: {TOPIC}/0/2" in problems


def test_many_culprits_are_counted_and_the_first_are_named(world, tmp_path):
    world.raw.clear()
    (sentence,) = [s for s in world.problems(tmp_path) if s.startswith("raw + quarantine: 6 message(s) are missing")]
    assert sentence.endswith(f"{TOPIC}/0/4 and 1 more")


def test_a_night_is_the_date_in_universal_time():
    assert [night_of(jd) for jd in (2458451.4999, 2458451.5, 2458451.75)] == ["20181128", "20181129", "20181129"]


def test_a_manifest_is_read_as_lines_or_as_one_object(tmp_path):
    row = {"id": 1, "topic": TOPIC, "partition": 0, "offset": 3, "sha256": "0", "fault": None}
    (tmp_path / "lines").write_text(f"{json.dumps(row)}\n{json.dumps({'totals': 1})}\n")
    (tmp_path / "object").write_text(json.dumps({"messages": [row], "totals": {}}))
    assert read_manifest(tmp_path / "lines") == read_manifest(tmp_path / "object") == [row]
