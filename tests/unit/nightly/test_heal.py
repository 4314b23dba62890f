"""Healing a night in the lake: what changes, what does not, when it may run, and what a repetition does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.errors import LockedError, TransientError
from fink_lib.filters import FilterSet, load_filters
from fink_lib.lake import Lake, open_lake
from fink_lib.lake.lake import conform
from fink_lib.nightly import heal as heal_module
from fink_lib.nightly import healing, runner
from fink_lib.nightly.late import Due, Sent, corrections_topic, what_is_due
from fink_lib.nightly.ledger import night_ledger
from fink_lib.nightly.nights import night_state, set_state
from fink_lib.nightly.runner import run_stage
from fink_lib.nightly.stage import AFTER_HEALING, Verdict, night_lock
from fink_lib.runtime.lock import FileLock
from fink_lib.surveys import get_survey
from jobs.nightly import main
from tests.night_rows import NIGHT, replace
from tests.unit.nightly.conftest import NOW
from tests.unit.science.alerts import alert, table
from tests.unit.science.tap_server import GAIA, SIMBAD, TapServer
from tests.unit.science.test_served_match import ALERTS, installed, science

OTHER_NIGHT = "20240313"
BATCH = "g1-000000000"


@pytest.fixture
def server() -> Iterator[TapServer]:
    with TapServer({"basic": SIMBAD, "I/355/gaiadr3": GAIA}) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, server: TapServer) -> Settings:
    return installed(tmp_path, server)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    lake = open_lake(settings, "ztf")
    lake.ensure()
    return lake


@pytest.fixture(autouse=True)
def few_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heal with SIMBAD, Gaia, one module that follows and the class rule; all of them take long to load."""
    monkeypatch.setattr(heal_module, "build_runner", lambda survey, settings: science(settings))
    monkeypatch.setattr(heal_module, "load_filters", lambda survey, home: live_filters())


@cache
def live_filters() -> FilterSet:
    """Give the live filters; checking all of them takes a second."""
    return load_filters(get_survey("ztf"))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the healings that are to be sent, and send nothing."""
    numbers: list[int] = []

    def send(context: Any, filters: Any, number: int) -> Sent:
        if number:
            numbers.append(number)
        return Sent()

    monkeypatch.setattr(heal_module, "send_healed", send)
    return numbers


def science_rows(lake: Lake, settings: Settings, alerts: pa.Table, night: str = NIGHT) -> pa.Table:
    """Give the rows that raw2science writes for alerts."""
    result = science(settings).apply(alerts).table
    for field in lake.survey.fink_schema:
        alerts = alerts.append_column(field, result.column(field.name))
    size = alerts.num_rows
    ingest = [{"topic": f"ztf_{night}", "partition": 0, "offset": n, "batch": BATCH} for n in range(size)]
    process = [{"batch": BATCH, "broker_version": "1", "science_version": "1", "started": NOW}] * size
    extra = {"ingest": ingest, "process": process, "night": [night] * size}
    for name, values in extra.items():
        alerts = alerts.append_column(name, pa.array(values, lake.schema("science").field(name).type))
    return conform(alerts, lake.schema("science"))


@pytest.fixture
def down(lake: Lake, settings: Settings, server: TapServer) -> Lake:
    """Fill the lake as a night does during which both services are down, then bring them back."""
    server.manner = "500"
    rows = science_rows(lake, settings, ALERTS)
    lake.append("science", rows.slice(0, 3))
    lake.append("science", rows.slice(3))
    far = table([alert(11, ra=200.0)])
    lake.append("science", science_rows(lake, settings, far, OTHER_NIGHT))
    server.manner = "well"
    return lake


def closed(lake: Lake, *states: str) -> None:
    for place, state in enumerate(states or ("closed",)):
        stage = "publish" if state == "archived" else "close_night"
        set_state(lake, NIGHT, state, stage, "as the test says", NOW + timedelta(seconds=place))


def heal(settings: Settings, night: str = NIGHT) -> dict[str, Any]:
    return run_stage(settings, "ztf", night, "heal", now=NOW)


def rows_of(lake: Lake, night: str = NIGHT) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lake.read("science", [night]).sort_by("candid").to_pylist()
    return found


def fink(rows: list[dict[str, Any]], *names: str) -> list[Any]:
    return [tuple(row[name] for name in names) if len(names) > 1 else row[names[0]] for row in rows]


def test_the_night_becomes_that_of_a_run_with_the_services_up(settings: Settings, down: Lake, sent: list[int]) -> None:
    closed(down)
    verdict = heal(settings)
    assert verdict["ok"]
    assert (verdict["waited"], verdict["healed"], verdict["modules"], verdict["waiting"]) == (
        5,
        5,
        {"gaia": 5, "simbad": 3},
        {},
    )
    expected = science_rows(down, settings, ALERTS).sort_by("candid").to_pylist()
    assert rows_of(down) == expected
    assert fink(rows_of(down), "finkclass") == ["QSO", "Unknown", "RRLyrae", "Supernova", "Unknown"]
    assert sent == [1]


def test_only_that_night_changes_and_in_one_commit(settings: Settings, down: Lake, sent: list[int]) -> None:
    closed(down)
    other, version = rows_of(down, OTHER_NIGHT), down.table("science").version()
    heal(settings)
    assert rows_of(down, OTHER_NIGHT) == other
    assert down.table("science").version() == version + 1
    assert down.count("science", NIGHT) == 5


def test_what_was_healed_is_recorded(settings: Settings, down: Lake, sent: list[int]) -> None:
    closed(down)
    heal(settings)
    healed = down.read("healed", [NIGHT]).sort_by("alert_id").to_pylist()
    assert [(row["alert_id"], row["modules"]) for row in healed] == [
        (1, ["gaia"]), (2, ["gaia"]), (3, ["gaia", "simbad"]), (4, ["gaia", "simbad"]), (5, ["gaia", "simbad"]),
    ]  # fmt: skip
    assert [row["enters"] for row in healed] == [[], [], [], [], ["unknowns"]]
    assert {(row["number"], row["time"]) for row in healed} == {(1, NOW)}


def test_healing_again_changes_nothing(settings: Settings, down: Lake, sent: list[int]) -> None:
    closed(down)
    heal(settings)
    version = down.table("science").version()
    again = heal(settings)
    assert again["message"] == f"no alert of night {NIGHT} waits for anything"
    assert down.table("science").version() == version
    assert sent == [1, 1]  # whether the first one was sent in full is asked each time


def test_a_service_that_is_still_down_changes_nothing(
    settings: Settings, down: Lake, server: TapServer, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(settings.services), "for_healing", property(lambda self: self))
    server.die()
    closed(down, "closed", "archived")
    version = down.table("science").version()
    verdict = heal(settings)
    assert verdict["ok"]
    assert verdict["waiting"] == {"gaia": 5, "simbad": 3}
    assert f"0 of 5 alerts of night {NIGHT} that waited are healed" in verdict["message"]
    assert down.table("science").version() == version
    state = night_state(down, NIGHT)
    assert state is not None and state.state == "archived"
    assert sent == []


def test_a_catalogue_that_has_come_meanwhile_heals_without_any_service(
    settings: Settings, down: Lake, sent: list[int], tmp_path: Path, server: TapServer
) -> None:
    from tests.unit.science.test_catalogs import write_snapshot

    closed(down)
    (settings.home / "fink.toml").write_text("")
    write_snapshot(settings.catalog_dir, [{"ra": 30.0, "dec": -10.0, "name": "x", "main_type": "SN*"}])
    calls = server.calls
    quiet = settings.model_copy(update={"services": settings.services.model_copy(update={"asked": "never"})})
    verdict = heal(quiet)
    assert (verdict["healed"], verdict["modules"], verdict["waiting"]) == (3, {"simbad": 3}, {"gaia": 5})
    assert fink(rows_of(down), "cdsxmatch") == ["QSO", None, None, "SN*", None]
    assert server.calls == calls


def test_supernova_candidates_after_healing_are_exactly_those_of_a_run_with_simbad_up(
    settings: Settings, lake: Lake, server: TapServer, sent: list[int]
) -> None:
    filters = live_filters()

    def candidates(rows: pa.Table) -> set[int]:
        routes = filters.route(rows).to_pylist()
        return {
            one
            for one, names in zip(rows.column("candid").to_pylist(), routes, strict=True)
            if "sn_candidates" in names
        }

    def scored(rows: pa.Table) -> pa.Table:
        """Give every alert the scores of a supernova."""
        size = rows.num_rows
        scores = {"snn_snia_vs_nonia": [0.9] * size, "snn_sn_vs_all": [0.9] * size}
        return replace(rows, **scores)

    up = scored(science_rows(lake, settings, ALERTS))
    settings.service_cache.unlink()
    server.manner = "html"
    down = scored(science_rows(lake, settings, ALERTS))
    lake.append("science", down)
    server.manner = "well"
    closed(lake)
    heal(settings)
    # The second has nothing beside it, the fourth a supernova, the fifth nothing within an arcsecond.
    assert candidates(up) == {2, 4, 5}
    assert candidates(down) == {2}  # its place is in the snapshot; SIMBAD was away for all others
    assert candidates(lake.read("science", [NIGHT])) == candidates(up)
    entered = {row["alert_id"] for row in lake.read("healed", [NIGHT]).to_pylist() if "sn_candidates" in row["enters"]}
    assert entered == candidates(up) - candidates(down)


@pytest.mark.parametrize(
    ("states", "allowed"),
    [
        ((), False),
        (("closing",), False),
        (("closed",), True),
        (("closed", "archived"), True),
        (("closed", "held"), False),
        (("closed", "failed"), False),
        (("abandoned",), False),
        (("empty",), False),
    ],
)
def test_a_night_is_healed_when_nothing_else_writes_it(
    settings: Settings,
    down: Lake,
    sent: list[int],
    monkeypatch: pytest.MonkeyPatch,
    states: tuple[str, ...],
    allowed: bool,
) -> None:
    monkeypatch.setattr(runner, "_load", followers(runner._load, []))
    for place, state in enumerate(states):
        set_state(down, NIGHT, state, "reconcile", "so it is", NOW + timedelta(seconds=place))
    verdict = heal(settings)
    assert verdict["ok"] == allowed
    if not allowed:
        assert "only a closed or archived night is healed" in verdict["message"]


def test_nothing_else_works_on_the_night_meanwhile(settings: Settings, down: Lake, sent: list[int]) -> None:
    closed(down)
    with night_lock(settings, "ztf", NIGHT), pytest.raises(LockedError):
        heal(settings)
    with FileLock(settings.run_dir("ztf", "heal") / "lock"), pytest.raises(LockedError):
        heal(settings)
    state = night_state(down, NIGHT)
    assert state is not None and state.state == "closed"


# -- the archive follows -----------------------------------------------------------------------------------------------


def followers(load: Callable[[str], Any], ran: list[str], failing: str = "") -> Callable[[str], Any]:
    """Give stages that only note their names, in place of those that follow a healing."""

    def stage_at(place: str) -> Any:
        name = next(one for one, where in runner.FUNCTIONS.items() if where == place)
        if name not in AFTER_HEALING:
            return load(place)

        def stage(context: Any) -> Verdict:
            ran.append(name)
            state = {"publish": "archived"}.get(name, "")
            return Verdict(name != failing, f"{name} was here", {}, "failed" if name == failing else state)

        return stage

    return stage_at


def test_an_archived_night_is_archived_anew_after_it_was_healed(
    settings: Settings, down: Lake, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(runner, "_load", followers(runner._load, ran))
    closed(down, "closed", "archived")
    verdict = heal(settings)
    assert tuple(ran) == AFTER_HEALING
    assert verdict["message"].endswith("publish: publish was here")
    states = [row["state"] for row in down.read("nights", [NIGHT]).sort_by("time").to_pylist()]
    assert states == ["closed", "archived", "closed", "archived"]
    heal(settings)
    assert tuple(ran) == AFTER_HEALING  # nothing was healed, so nothing follows


def test_a_night_that_the_chain_has_not_archived_yet_is_left_to_the_chain(
    settings: Settings, down: Lake, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(runner, "_load", followers(runner._load, ran))
    closed(down)
    heal(settings)
    assert ran == []


def test_what_follows_is_done_by_the_next_healing_if_it_broke_off(
    settings: Settings, down: Lake, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    load = runner._load
    monkeypatch.setattr(runner, "_load", followers(load, ran, failing="verify_archive"))
    closed(down, "closed", "archived")
    verdict = heal(settings)
    assert not verdict["ok"]
    state = night_state(down, NIGHT)
    assert state is not None and (state.state, state.stage) == ("failed", "verify_archive")
    ran.clear()
    monkeypatch.setattr(runner, "_load", followers(load, ran))
    assert heal(settings)["ok"]
    assert tuple(ran) == AFTER_HEALING
    state = night_state(down, NIGHT)
    assert state is not None and state.state == "archived"


# -- interrupted -------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a process as nothing can catch."""


def die(*args: Any, **kwargs: Any) -> Any:
    raise Killed


def test_a_healing_that_dies_before_its_commit_has_changed_nothing_and_is_done_anew(
    settings: Settings, down: Lake, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed(down)
    before = rows_of(down)
    with monkeypatch.context() as patched:
        patched.setattr(healing, "swap_files", die)
        with pytest.raises(Killed):
            heal(settings)
    assert rows_of(down) == before
    assert healing.committed_number(down, NIGHT) == 0
    verdict = heal(settings)
    assert (verdict["healed"], verdict["number"]) == (5, 2)
    assert sent == [2]  # what was recorded under number 1 never came true


def test_a_healing_that_dies_before_it_sends_is_sent_by_the_next_one(
    settings: Settings, down: Lake, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed(down, "closed", "archived")
    ran: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(heal_module, "failpoint", die)
        with pytest.raises(Killed):
            heal(settings)
    assert sent == []
    monkeypatch.setattr(runner, "_load", followers(runner._load, ran))
    verdict = heal(settings)
    assert sent == [1]
    assert verdict["healed"] == 0
    assert tuple(ran) == AFTER_HEALING


def test_a_broker_that_is_away_leaves_the_merged_rows_and_the_rest_for_later(
    settings: Settings, down: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:9"})
    monkeypatch.setattr("fink_lib.streams.topics.TIMEOUT_S", 1.0)
    closed(down)
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9"):
        heal(settings.model_copy(update={"kafka": kafka}))
    assert fink(rows_of(down), "cdsxmatch") == ["QSO", None, "RRLyrae", "Supernova", None]
    state = night_state(down, NIGHT)
    assert state is not None and state.state == "closed"


# -- what is due -------------------------------------------------------------------------------------------------------


def sent_row(alert_id: int, name: str, batch: str = BATCH, prefix: str = "fink") -> dict[str, Any]:
    return {"alert_id": alert_id, "filter": name, "topic": f"{prefix}_{name}_ztf", "batch": batch, "night": NIGHT}


def due_of(lake: Lake, enters: dict[int, list[str]], sent: list[dict[str, Any]], number: int = 1) -> list[Due]:
    rows = [{"alert_id": one, "number": number, "enters": names, "night": NIGHT} for one, names in enters.items()]
    lake.append("healed", pa.Table.from_pylist(rows, schema=lake.schema("healed")))
    if sent:
        lake.append("sent", pa.Table.from_pylist(sent, schema=lake.schema("sent")))
    return what_is_due(lake, NIGHT, number, live_filters(), "fink")


def test_an_alert_that_enters_a_filter_is_due_there_and_one_that_was_sent_is_corrected(lake: Lake) -> None:
    due = due_of(
        lake,
        {5: ["unknowns"], 3: [], 4: ["unknowns"], 1: []},
        [sent_row(4, "sso_ztf_candidates"), sent_row(1, "sso_ztf_candidates")],
    )
    assert due == [Due(1, (), True), Due(4, ("unknowns",), True), Due(5, ("unknowns",), False)]


def test_an_alert_is_never_sent_to_a_topic_twice(lake: Lake) -> None:
    assert due_of(lake, {5: ["unknowns"]}, [sent_row(5, "unknowns")]) == [Due(5, (), True)]


def test_what_a_killed_attempt_has_sent_does_not_change_what_is_due(lake: Lake) -> None:
    due = due_of(lake, {5: ["unknowns"]}, [sent_row(5, "unknowns", f"heal-{NIGHT}-1-000000")])
    assert due == [Due(5, ("unknowns",), False)]


def test_what_an_earlier_healing_has_sent_counts_as_sent(lake: Lake) -> None:
    due = due_of(lake, {5: ["unknowns"]}, [sent_row(5, "unknowns", f"heal-{NIGHT}-1-000000")], number=2)
    assert due == [Due(5, (), True)]


def test_messages_of_a_replay_and_filters_that_are_gone_do_not_count(lake: Lake) -> None:
    assert due_of(lake, {5: ["no_such_filter"]}, [sent_row(5, "unknowns", prefix="ftest")]) == []


def test_corrections_have_a_topic_of_their_own() -> None:
    assert corrections_topic("fink", "ztf") == "fink_corrections_ztf"


def test_late_messages_are_in_the_books_of_the_night(settings: Settings, lake: Lake) -> None:
    lake.append(
        "sent", pa.Table.from_pylist([sent_row(1, "unknowns"), sent_row(2, "unknowns")], schema=lake.schema("sent"))
    )
    entries = [
        {"stage": stage, "batch": batch, "received": 0, "sent": 1, "finished": NOW, "night": NIGHT}
        for stage, batch in (("distribution", BATCH), ("heal", f"heal-{NIGHT}-1-000000"))
    ]
    lake.append("ledger", pa.Table.from_pylist(entries, schema=lake.schema("ledger")))
    equation = night_ledger(settings, "ztf", NIGHT, kafka=False)["stages"][2]
    assert (equation["left"], equation["right"], equation["closed"]) == ({"sent": 2}, {"messages": 2}, True)


# -- the list of nights ------------------------------------------------------------------------------------------------


def test_the_last_nights_that_may_be_healed_are_listed(
    settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states = {
        "20240309": "archived",
        "20240310": "archived",
        "20240311": "held",
        "20240312": "closed",
        "20240314": "closed",
    }
    for night, state in states.items():
        set_state(lake, night, state, "reconcile", "", NOW)
    monkeypatch.setenv("FINK_HOME", str(settings.home))
    assert main(["--survey", "ztf", "--stage", "healable", "--night", "20240313"]) == 0
    assert json.loads(capsys.readouterr().out)["nights"] == ["20240309", "20240310", "20240312"]
    few = settings.model_copy(update={"nightly": settings.nightly.model_copy(update={"heal_nights": 2})})
    assert run_stage(few, "ztf", "20240313", "healable")["nights"] == ["20240310", "20240312"]
