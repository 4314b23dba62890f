"""``fink night`` and ``fink why`` as they are typed: output, JSON, exit codes."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from fink_lib.cli import run
from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from fink_lib.lake import open_lake
from tests.night_rows import science_rows

FIRST = 10**17
CLOSED, OPEN = "20240312", "20240313"
ALERTS = 40


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Give an installation with a night whose books balance and one that lost an alert on the way."""
    home = tmp_path_factory.mktemp("cli")
    lake = open_lake(load_settings(home), "ztf")
    lake.ensure()
    for place, night in enumerate((CLOSED, OPEN)):
        rows = science_rows(lake, ALERTS, seed=place, night=night, first_id=FIRST + place * ALERTS)
        lake.append("raw", rows.select(lake.schema("raw").names))
        lake.append("science", rows.slice(0, ALERTS - place))
        entries = [
            {"stage": stage, "batch": f"g1-{place:09d}", "received": ALERTS, "night": night}
            for stage in ("stream2raw", "distribution")
        ]
        lake.append("ledger", pa.Table.from_pylist(entries, schema=lake.schema("ledger")))
    summary = {"basic": [("raw", ALERTS)], "class": [("Unknown", ALERTS)], "filters": [("unknowns", 3)],
               "versions": [("gcvs", "1")], "night": CLOSED}  # fmt: skip
    lake.append("night_summary", pa.Table.from_pylist([summary], schema=lake.schema("night_summary")))
    return home


@pytest.fixture
def fink(home, monkeypatch, capsys):
    monkeypatch.setenv("FINK_HOME", str(home))

    def typed(line: str) -> tuple[int, str, str]:
        code = run(line.split())
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return typed


def test_nights_are_listed_newest_first(fink):
    code, out, _ = fink("night list")
    head, first, second = out.splitlines()
    assert code == EXIT_OK
    assert head.split()[:3] == ["night", "state", "raw"]
    assert first.split()[:3] == [OPEN, "live", str(ALERTS)]
    assert second.startswith(CLOSED)
    code, out, _ = fink("night list --json")
    assert [night["night"] for night in json.loads(out)] == [OPEN, CLOSED]


def test_a_ledger_that_closes_says_so(fink):
    code, out, _ = fink(f"night ledger {CLOSED} --no-kafka")
    assert code == EXIT_OK
    assert "Closed" in out
    code, out, _ = fink(f"night ledger {CLOSED} --no-kafka --json")
    assert json.loads(out)["closed"] is True


def test_a_ledger_that_does_not_close_names_the_stage_and_fails(fink):
    code, out, _ = fink(f"night ledger {OPEN} --no-kafka")
    assert code == EXIT_FAILED
    assert "raw2science: 40 raw is not 39 science" in out
    assert "Closed" not in out
    code, out, _ = fink(f"night ledger {OPEN} --no-kafka --json")
    told = json.loads(out)
    assert code == EXIT_FAILED
    assert [stage["stage"] for stage in told["stages"] if not stage["closed"]] == ["raw2science"]


def test_a_summary_has_all_its_tables(fink):
    code, out, _ = fink(f"night summary {CLOSED}")
    assert code == EXIT_OK
    assert {"basic", "class", "filters", "versions"} <= set(out.split())
    code, out, _ = fink(f"night summary {CLOSED} --json")
    assert json.loads(out)["summary"]["class"] == {"Unknown": ALERTS}


def test_a_night_without_a_summary_says_what_to_do(fink):
    code, out, _ = fink(f"night summary {OPEN}")
    assert code == EXIT_OK
    assert "fink night ledger" in out


@pytest.mark.parametrize("night", ["20200101", "2024", "yesterday", "20241399"])
@pytest.mark.parametrize("command", ["summary", "ledger"])
def test_an_unknown_night_is_one_sentence(fink, command, night):
    code, _, err = fink(f"night {command} {night}")
    assert code == EXIT_FAILED
    assert len(err.strip().splitlines()) == 1
    assert night in err


def test_the_story_of_an_alert_is_told(fink):
    code, out, _ = fink(f"why {FIRST + 3}")
    assert code == EXIT_OK
    assert out.startswith(f"Alert {FIRST + 3}")
    code, out, _ = fink(f"why {FIRST + 3} --json")
    assert json.loads(out)["received"][0]["offset"] == 3


def test_an_alert_that_never_came_is_one_sentence(fink):
    code, out, err = fink("why 424242424242424242")
    assert (code, out) == (EXIT_FAILED, "")
    assert len(err.strip().splitlines()) == 1


def test_a_word_in_the_place_of_an_id_is_wrong_usage(fink):
    assert fink("why ZTF18abcdefg")[0] == EXIT_USAGE
