"""An independent witness of exactly-once: compares what was sent in with what lake, topics and archive hold.

Each check returns sentences; none means that nothing was lost, doubled or changed. A sentence says which rows it is
about. The code under test is not imported, not even its names (see :mod:`tests.faults.evidence`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.faults.compare import differences, night_of, packet_differences, passes_cuts, same_stamps
from tests.faults.evidence import CUTOUTS, Lake, Message, Place, Row, origin
from tests.faults.filters import FILTERS

NAMED = 5
"""How many culprits a sentence names before it only counts them."""


def check_all(
    messages: Sequence[Message],
    lake: Lake,
    outputs: Mapping[str, Sequence[Message]],
    manifest: Sequence[Row] = (),
    prefix: str = "fink",
) -> list[str]:
    """Check the whole way from the input topics to the output topics.

    Parameters
    ----------
    messages : sequence of Message
        All committed records of the input topics: the truth.
    lake : Lake
        What the tables hold.
    outputs : mapping of str to sequence of Message
        All committed records of each output topic.
    manifest : sequence of dict, optional
        What the producer believes to have delivered.
    prefix : str
        Of the output topics' names.

    Returns
    -------
    list of str
        One sentence for each thing that is wrong.
    """
    return [
        *check_delivery(manifest, messages),
        *check_ingest(messages, lake),
        *check_cutouts(messages, lake),
        *check_science(lake),
        *check_balance(messages, lake),
        *check_outputs(lake, outputs, prefix),
        *check_sent(lake, outputs, prefix),
        *check_ledger(lake),
    ]


def check_delivery(manifest: Sequence[Row], messages: Sequence[Message]) -> list[str]:
    """Check that the input topics hold what the producer was told they hold."""
    there = {message.place: message for message in messages}
    absent, other = [], []
    for row in manifest:
        message = there.get((row["topic"], row["partition"], row["offset"]))
        if message is None:
            absent.append(_place((row["topic"], row["partition"], row["offset"])))
        elif message.sha256 != row["sha256"]:
            other.append(_place(message.place))
    return [
        *say("input topics: {n} acknowledged message(s) are gone: {who}", absent),
        *say("input topics: {n} message(s) hold other bytes than were sent: {who}", other),
    ]


def check_ingest(messages: Sequence[Message], lake: Lake) -> list[str]:
    """Check that each message is exactly once in ``raw`` or ``quarantine``, in the right one, and unchanged."""
    truth = {message.place: message for message in messages}
    raw, bad = _by_place(lake.raw), _by_place(lake.quarantine)
    found = Counter(origin(row) for row in (*lake.raw, *lake.quarantine))
    wrong: dict[str, list[str]] = defaultdict(list)
    for place, message in truth.items():
        alert = message.alert()
        if alert is not None and place in bad:
            wrong["good"].append(f"{_place(place)} (candid {alert['candid']}: {bad[place]['reason']})")
        if place in raw:
            row = raw[place]
            if alert is None:
                wrong["accepted"].append(_place(place))
                continue
            if row["ingest"]["sha256"] != message.sha256:
                wrong["digest"].append(_place(place))
            if row["night"] != night_of(alert["candidate"]["jd"]):
                wrong["night"].append(f"{_place(place)} (candid {alert['candid']}: {row['night']})")
            differing = differences(row, alert, skip=("ingest", "night"))
            if differing:
                wrong["values"].append(f"candid {alert['candid']} ({', '.join(differing[:3])})")
        elif place in bad:
            row = bad[place]
            if (row["payload"] or b"") != (message.value or b"") or row["sha256"] != message.sha256:
                wrong["payload"].append(_place(place))
            if not row["reason"]:
                wrong["reason"].append(_place(place))
    return [
        *say("raw + quarantine: {n} message(s) are missing: {who}", _places(truth.keys() - found.keys())),
        *say("raw + quarantine: {n} message(s) are there twice: {who}", _places(p for p, n in found.items() if n > 1)),
        *say("raw + quarantine: {n} row(s) come from no message: {who}", _places(found.keys() - truth.keys())),
        *say("quarantine: {n} good message(s) ended there: {who}", wrong["good"]),
        *say("raw: {n} bad message(s) became rows: {who}", wrong["accepted"]),
        *say("raw: {n} row(s) carry another digest than their message: {who}", wrong["digest"]),
        *say("raw: {n} row(s) are in the wrong night: {who}", wrong["night"]),
        *say("raw: {n} row(s) differ from their message: {who}", wrong["values"]),
        *say("quarantine: {n} row(s) hold other bytes than their message: {who}", wrong["payload"]),
        *say("quarantine: {n} row(s) have no reason: {who}", wrong["reason"]),
    ]


def check_cutouts(messages: Sequence[Message], lake: Lake) -> list[str]:
    """Check that each row of ``raw`` whose packet has images finds exactly these under its batch."""
    alerts = {message.place: message for message in messages}
    stored: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in lake.cutouts:
        stored[row["alert_id"], row["batch"]].append(row)
    wanted: Counter[tuple[int, str]] = Counter()
    missing, changed = [], []
    for row in lake.raw:
        message = alerts.get(origin(row))
        alert = message.alert() if message else None
        if alert is None or not any(alert.get(name) for name in CUTOUTS):
            continue
        key = (row["candid"], row["ingest"]["batch"])
        wanted[key] += 1
        if not stored[key]:
            missing.append(f"candid {row['candid']}")
        elif not any(same_stamps(stamps, alert) for stamps in stored[key]):
            changed.append(f"candid {row['candid']}")
    surplus = [f"candid {key[0]}" for key, rows in stored.items() if len(rows) > wanted[key]]
    return [
        *say("cutouts: {n} alert(s) lost their images: {who}", missing),
        *say("cutouts: {n} alert(s) have other images than were sent: {who}", changed),
        *say("cutouts: {n} alert(s) have images too often: {who}", surplus),
    ]


def check_science(lake: Lake) -> list[str]:
    """Check that each row of ``raw`` is exactly once in ``science`` or ``rejected``, rightly and with equal values."""
    raw, science = _by_place(lake.raw), _by_place(lake.science)
    found = Counter(origin(row) for row in (*lake.science, *lake.rejected))
    ids = Counter((row["night"], row["candid"]) for row in lake.science)
    wrong: dict[str, list[str]] = defaultdict(list)
    for place, row in science.items():
        source = raw.get(place)
        if source is None:
            continue
        if not passes_cuts(source["candidate"]):
            wrong["cut"].append(f"candid {row['candid']}")
        differing = differences(source, row, skip=())
        if differing:
            wrong["values"].append(f"candid {row['candid']} ({', '.join(differing[:3])})")
    for row in lake.rejected:
        source = raw.get(origin(row))
        if source is None:
            continue
        if row["alert_id"] != source["candid"] or row["night"] != source["night"]:
            wrong["identity"].append(_place(origin(row)))
        if not row["reason"]:
            wrong["unreasoned"].append(f"candid {row['alert_id']}")
        elif row["reason"] == "duplicate":
            if not ids[row["night"], row["alert_id"]]:
                wrong["orphan"].append(f"candid {row['alert_id']}")
        elif passes_cuts(source["candidate"]):
            wrong["innocent"].append(f"candid {row['alert_id']} ({row['reason']})")
    return [
        *say("science + rejected: {n} row(s) of raw are missing: {who}", _named(raw.keys() - found.keys(), raw)),
        *say("science + rejected: {n} row(s) of raw are there twice: {who}", _named(_twice(found), raw)),
        *say("science + rejected: {n} row(s) come from no row of raw: {who}", _places(found.keys() - raw.keys())),
        *say("science: {n} alert(s) are doubled: {who}", [f"candid {i} in {n}" for (n, i), m in ids.items() if m > 1]),
        *say("science: {n} alert(s) fail the quality cuts: {who}", wrong["cut"]),
        *say("science: {n} row(s) differ from raw: {who}", wrong["values"]),
        *say("rejected: {n} row(s) name another alert than raw: {who}", wrong["identity"]),
        *say("rejected: {n} row(s) have no reason: {who}", wrong["unreasoned"]),
        *say("rejected: {n} duplicate(s) of an alert that science lacks: {who}", wrong["orphan"]),
        *say("rejected: {n} alert(s) that pass the quality cuts were cut: {who}", wrong["innocent"]),
    ]


def check_balance(messages: Sequence[Message], lake: Lake) -> list[str]:
    """Check the equation of the ledger on counts alone: lost = in - (science + quarantined + rejected) = 0."""
    lost = len(messages) - len(lake.science) - len(lake.quarantine) - len(lake.rejected)
    if lost == 0:
        return []
    return [
        f"balance: {len(messages)} in, {len(lake.science)} science, {len(lake.quarantine)} quarantined, "
        f"{len(lake.rejected)} rejected or duplicate: {lost} lost"
    ]


def as_streamed(lake: Lake) -> list[Row]:
    """Give the rows of ``science`` as the stream wrote them: without tracklets, which come when the night is over."""
    before: dict[int, Row] = defaultdict(dict)
    for change in lake.reclassified:
        before[change["alert_id"]][change["column"]] = change["before"]
    rows = []
    for row in lake.science:
        if row.get("tracklet"):
            status = {name: word for name, word in (row.get("fink_status") or {}).items() if name != "tracklet"}
            row = row | {"tracklet": None, "fink_status": status} | before[row["candid"]]
        rows.append(row)
    return rows


def check_outputs(lake: Lake, outputs: Mapping[str, Sequence[Message]], prefix: str = "fink") -> list[str]:
    """Check that each topic holds exactly the alerts that its filter takes, once, with the values of ``science``."""
    final = {row["candid"]: row for row in lake.science}
    streamed = {row["candid"]: row for row in as_streamed(lake)}
    images = {(row["alert_id"], row["batch"]): row for row in lake.cutouts}
    sentences = []
    for name, takes in FILTERS.items():
        topic = f"{prefix}_{name}_ztf"
        expected = {candid for candid, row in streamed.items() if takes(row)}
        found: Counter[int] = Counter()
        changed = []
        for message in outputs.get(topic, ()):
            packet = message.packet()
            candid = packet["candid"]
            found[candid] += 1
            if message.headers.get("fink-alert-id") != str(candid):
                changed.append(f"candid {candid} (header fink-alert-id)")
            row = (final if packet.get("tracklet") else streamed).get(candid)
            if row is None:
                continue
            differing = packet_differences(row, packet)
            stamps = images.get((candid, row["ingest"]["batch"]))
            if stamps is not None and not same_stamps(stamps, packet):
                differing.append("images")
            if differing:
                changed.append(f"candid {candid} ({', '.join(differing[:3])})")
        sentences += [
            *say(f"{topic}: {{n}} alert(s) are missing: {{who}}", _candids(expected - found.keys())),
            *say(f"{topic}: {{n}} alert(s) are there twice: {{who}}", _candids(_twice(found))),
            *say(f"{topic}: {{n}} alert(s) do not belong there: {{who}}", _candids(found.keys() - expected)),
            *say(f"{topic}: {{n}} message(s) differ from science: {{who}}", changed),
        ]
    return sentences


def check_sent(lake: Lake, outputs: Mapping[str, Sequence[Message]], prefix: str = "fink") -> list[str]:
    """Check that the rows of ``sent`` are the messages of the topics, one to one, by place and by alert."""
    topics = [topic for topic in outputs if topic != f"{prefix}_corrections_ztf"]
    there = {message.place: message.packet()["candid"] for topic in topics for message in outputs[topic]}
    noted = Counter(origin(row) for row in lake.sent)
    wrong = [
        f"{_place(origin(row))} (candid {row['alert_id']}, filter {row['filter']})"
        for row in lake.sent
        if origin(row) in there
        and (there[origin(row)] != row["alert_id"] or row["topic"] != f"{prefix}_{row['filter']}_ztf")
    ]
    nights = {row["candid"]: row["night"] for row in lake.science}
    strayed = [f"candid {row['alert_id']}" for row in lake.sent if row["night"] != nights.get(row["alert_id"])]
    return [
        *say("sent: {n} message(s) of the topics have no row: {who}", _places(there.keys() - noted.keys())),
        *say("sent: {n} message(s) have two rows: {who}", _places(_twice(noted))),
        *say("sent: {n} row(s) name no message: {who}", _places(noted.keys() - there.keys())),
        *say("sent: {n} row(s) name another alert or topic than their message: {who}", wrong),
        *say("sent: {n} row(s) are in another night than their alert: {who}", strayed),
    ]


def check_ledger(lake: Lake) -> list[str]:
    """Check that the ledger's sums by night and stage are the counts of the tables."""

    def by_night(rows: Iterable[Row], wanted: Callable[[Row], bool] = lambda row: True) -> Counter[str]:
        return Counter(row["night"] for row in rows if wanted(row))

    raw, science = by_night(lake.raw), by_night(lake.science)
    sent = by_night(lake.sent, lambda row: not _selected(row))
    selected = by_night(lake.sent, _selected)
    quarantined = by_night(lake.quarantine)
    duplicates = by_night(lake.rejected, lambda row: row["reason"] == "duplicate")
    rejected = by_night(lake.rejected, lambda row: row["reason"] != "duplicate")
    truth: dict[str, dict[str, Counter[str]]] = {
        "stream2raw": {"received": raw + quarantined, "produced": raw, "quarantined": quarantined},
        "raw2science": {"received": raw, "produced": science, "rejected": rejected, "duplicates": duplicates},
        "distribution": {"received": science, "sent": sent},
        "select": {"sent": selected},
    }
    if len({row.get("generation") for row in lake.ledger if row["stage"] == "distribution"}) > 1:
        del truth["distribution"]["received"]  # a new generation reads again what it does not send again
    sums: dict[str, dict[str, Counter[str]]] = {stage: {name: Counter() for name in truth[stage]} for stage in truth}
    for row in lake.ledger:
        for name, counter in sums.get(row["stage"], {}).items():
            counter[row["night"]] += row[name] or 0
    sentences = [
        f"ledger: night {night}, {stage}: {name} is {sums[stage][name][night]}, the tables say {counts[night]}"
        for stage, columns in truth.items()
        for name, counts in columns.items()
        for night in sorted(counts.keys() | sums[stage][name].keys())
        if sums[stage][name][night] != counts[night]
    ]
    batches = Counter((row["stage"], row["batch"], row["night"]) for row in lake.ledger if row["stage"] in truth)
    return [*sentences, *say("ledger: {n} batch(es) are there twice: {who}", [" ".join(b) for b in _twice(batches)])]


def _selected(row: Row) -> bool:
    """Tell whether a row of ``sent`` is of the selection at the end of a night."""
    return str(row.get("batch") or "").startswith("select-")


def _by_place(rows: Iterable[Row]) -> dict[Place, Row]:
    return {origin(row): row for row in rows}


def _twice(found: Counter[Any]) -> list[Any]:
    return [what for what, times in found.items() if times > 1]


def _place(place: Place) -> str:
    return "/".join(map(str, place))


def _places(places: Iterable[Place]) -> list[str]:
    return [_place(place) for place in sorted(places)]


def _named(places: Iterable[Place], rows: Mapping[Place, Row]) -> list[str]:
    return [f"{_place(p)} (candid {rows[p]['candid']})" if p in rows else _place(p) for p in sorted(places)]


def _candids(ids: Iterable[int]) -> list[str]:
    return [f"candid {i}" for i in sorted(ids)]


def say(template: str, culprits: Sequence[str]) -> list[str]:
    """Make the sentence, or none if there is no culprit."""
    if not culprits:
        return []
    more = f" and {len(culprits) - NAMED} more" if len(culprits) > NAMED else ""
    return [template.format(n=len(culprits), who="; ".join(culprits[:NAMED]) + more)]
