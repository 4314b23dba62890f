"""Making a night again: equal versions give equal content, a changed module names its alerts, nothing live moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fink_lib.config import Settings
from fink_lib.errors import ConfigError, LockedError
from fink_lib.lake import Lake
from fink_lib.nightly.nights import set_state
from fink_lib.nightly.replay import compute
from fink_lib.nightly.replay.content import content_of
from fink_lib.nightly.replay.make import replay_night
from fink_lib.nightly.replay.record import read_replay, replay_dir, replay_lock
from fink_lib.nightly.replay.shadow import shadow_of
from tests.night_rows import NIGHT
from tests.unit.nightly.replay.conftest import ALERTS, NOW, Killed, dying_at, raw_rows, runner, stream

pytestmark = pytest.mark.usefixtures("science")

LIVE = ("raw", "science", "rejected", "reclassified", "sent", "healed", "nights", "ledger")


def versions(lake: Lake) -> dict[str, int]:
    return {table: lake.table(table).version() for table in LIVE}


def replay(settings: Settings, **options: Any) -> dict[str, Any]:
    return replay_night(settings, "ztf", NIGHT, now=NOW, **options)


def changed_ids(settings: Settings) -> list[int]:
    rows = pq.read_table(replay_dir(settings, "ztf", NIGHT) / "alerts.parquet")
    found: list[int] = rows.filter(pc.equal(rows.column("what"), "changed")).column("alert_id").to_pylist()
    return found


def test_the_same_versions_give_the_same_content_each_of_three_times(settings: Settings, lake: Lake) -> None:
    before = versions(lake)
    told = [replay(settings)["tables"] for _ in range(3)]
    assert told[0]["science"]["live"]["rows"] == ALERTS - 2
    for tables in told:
        assert tables == told[0]
        assert all(sides["equal"] for sides in tables.values())
    assert versions(lake) == before


def test_what_is_compared_is_what_an_alert_says_and_not_when_it_was_said(settings: Settings, lake: Lake) -> None:
    content = content_of(lake, "science", NIGHT)
    rows = lake.read("science", [NIGHT])
    place = rows.schema.get_field_index("process")
    field = rows.schema.field(place)
    process = [row | {"started": None, "science_version": "other"} for row in rows.column("process").to_pylist()]
    others = rows.set_column(place, field, pa.array(process, field.type))
    lake.replace_night("science", NIGHT, others.take(list(reversed(range(rows.num_rows)))))
    assert content_of(lake, "science", NIGHT) == content
    mutilated = lake.read("science", [NIGHT]).slice(1)
    lake.replace_night("science", NIGHT, mutilated)
    assert content_of(lake, "science", NIGHT) != content


def test_a_changed_module_names_exactly_its_alerts_and_who_follows_it(
    settings: Settings, lake: Lake, science: Callable[..., None]
) -> None:
    science(factor=1.5, version="2")
    told = replay(settings)
    fainter = [n for n in range(11, ALERTS + 1) if n % 10]
    assert changed_ids(settings) == fainter
    assert told["alerts"] == {"changed": 9, "added": 0, "removed": 0, "same": 0, "by_other_versions": 9}
    assert told["columns"] == {"agn_score": 9, "rf_kn_vs_nonkn": 9}
    assert told["modules"] == {
        "follower": {"alerts": 9, "why": {"follows number": 9}},
        "number": {"alerts": 9, "why": {"number 1 -> 2": 9}},
    }
    assert told["classes"] == {}
    assert told["versions"]["number"] == {"live": ["1"], "shadow": "2"}


def test_a_changed_label_changes_classes_and_filters_and_says_so(
    settings: Settings, lake: Lake, science: Callable[..., None]
) -> None:
    science(label="Unknown", label_version="2")
    told = replay(settings)
    labelled = [n for n in range(11, ALERTS + 1) if n % 10]
    assert changed_ids(settings) == labelled
    assert told["classes"] == {"QSO -> Unknown": 9}
    assert told["modules"]["class_rule"]["why"] == {"follows simbad": 9}
    first = told["first"][0]
    assert (first["alert_id"], first["class_before"], first["class_after"]) == (11, "QSO", "Unknown")
    assert set(first["modules"]) == {"class_rule", "simbad"}
    assert (told["enters"], told["leaves"]) == ({"unknowns": 9}, {"quasars": 9})
    assert (first["enters"], first["leaves"]) == (["unknowns"], ["quasars"])


def test_a_changed_cut_says_which_alerts_come_and_go(
    settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(lake.survey), "quality_cuts", (("faint", "candidate.magpsf < 19.95"),))
    told = replay(settings)
    assert (told["alerts"]["added"], told["alerts"]["removed"], told["alerts"]["changed"]) == (1, 0, 0)
    what = {row["alert_id"]: row["what"] for row in told["first"]}
    assert what == {10: "added"}
    assert told["rejected"] == {"live": {"duplicate": 1, "nbad": 2}, "shadow": {"duplicate": 1, "faint": 1}}


def test_only_rows_that_the_streams_have_done_with_take_part(settings: Settings, lake: Lake) -> None:
    late = raw_rows(lake, [31, 32], first_offset=30)
    lake.append("raw", late)
    told = replay(settings)
    assert told["tables"]["science"]["equal"]
    stream(lake, late, runner())
    told = replay(settings)
    assert told["tables"]["science"]["shadow"]["rows"] == ALERTS
    assert told["tables"]["science"]["equal"]


def test_a_night_is_made_again_from_its_science_rows_too(settings: Settings, lake: Lake) -> None:
    told = replay(settings, start="science")
    assert all(sides["equal"] for sides in told["tables"].values())
    # nothing was sent of this night: whatever the filters of now take is due
    assert told["enters"] == {"faint": 9, "quasars": 9, "unknowns": 9}
    assert {row["what"] for row in told["first"]} == {"sent"}


def test_the_report_is_there_as_text_json_page_and_list(
    settings: Settings, lake: Lake, science: Callable[..., None]
) -> None:
    science(label="Unknown", label_version="2")
    told = replay(settings)
    folder = replay_dir(settings, "ztf", NIGHT)
    assert json.loads((folder / "difference.json").read_text())["classes"] == told["classes"]
    text, page = ((folder / f"difference.{kind}").read_text() for kind in ("txt", "html"))
    for word in (f"Replay of night {NIGHT}", "QSO -> Unknown", "follows simbad", "simbad 1 -> 2"):
        assert word in text
        assert word.replace(">", "&gt;") in page
    assert "<script" not in page


def test_a_live_night_and_a_wrong_start_are_refused(settings: Settings, lake: Lake) -> None:
    with pytest.raises(ConfigError, match="not from 'beginning'"):
        replay(settings, start="beginning")
    with pytest.raises(ConfigError, match="is live"):
        replay_night(settings, "ztf", "20240401")
    set_state(lake, NIGHT, "closing", "close_night", "a late alert", NOW)
    with pytest.raises(ConfigError, match="is closing"):
        replay(settings)


def test_two_replays_of_a_night_never_run_at_once(settings: Settings, lake: Lake) -> None:
    with replay_lock(settings, "ztf", NIGHT), pytest.raises(LockedError):
        replay(settings)


@pytest.mark.parametrize("place", ["replay_after_rejected", "replay_in_piece", "replay_after_piece",
                                   "replay_before_night", "replay_before_compare",
                                   "replay_before_record"])  # fmt: skip
def test_a_replay_that_is_killed_leaves_the_live_night_alone_and_goes_on(
    settings: Settings, lake: Lake, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, files = versions(lake), {table: lake.table(table).file_uris() for table in LIVE}
    monkeypatch.setattr(compute, "PIECE_ROWS", 5)
    with dying_at(place), pytest.raises(Killed):
        replay(settings)
    state = read_replay(settings, "ztf", NIGHT)
    assert state is not None and state.state == "computing"
    lines: list[str] = []
    told = replay(settings, progress=lines.append)
    assert lines[0].startswith("replay: going on")
    assert all(sides["equal"] for sides in told["tables"].values())
    assert versions(lake) == before
    assert {table: lake.table(table).file_uris() for table in LIVE} == files
    shadow = shadow_of(lake, NIGHT, state.name)
    assert shadow.count("science", NIGHT) == ALERTS - 2


def test_a_replay_writes_its_own_tables_only(settings: Settings, lake: Lake) -> None:
    shadow = shadow_of(lake, NIGHT, "one")
    shadow.ensure()
    with pytest.raises(ConfigError, match="does not write table sent"):
        shadow.append("sent", lake.schema("sent").empty_table())
    assert shadow.uri("raw") == lake.uri("raw")
    assert shadow.uri("science") != lake.uri("science")
