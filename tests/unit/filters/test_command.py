"""``fink filter`` as it is typed: lists, refusals, backtests, reports, promotion; and the stream that follows."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.cli import run
from fink_lib.config import Settings
from fink_lib.errors import EXIT_FAILED, EXIT_OK
from fink_lib.filters import load_filters
from fink_lib.filters.promotion import MIN_ALERTS, live_path, record_path
from fink_lib.filters.watch import LiveFilters
from fink_lib.lake import Lake
from fink_lib.runtime.files import read_json, write_json
from fink_lib.surveys import get_survey
from tests.unit.filters.conftest import NIGHTS

ZTF = get_survey("ztf")
RANGE = f"{NIGHTS[0]}..{NIGHTS[-1]}"

Fink = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def fink(
    lake: Lake, installation: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Fink:
    """Type a command in the installation with the three nights."""
    monkeypatch.setenv("FINK_HOME", str(installation.home))

    def typed(line: str) -> tuple[int, str, str]:
        code = run(line.split())
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return typed


def write(folder: Path, predicate: str, name: str = "mine", version: str = "1", budget: str = "90 %") -> Path:
    """Write a filter."""
    header = {
        "topic": f"fink_{name}_ztf", "title": "Mine & yours", "description": "What I want", "author": "A. Person",
        "contact": "a.person@example.org", "version": version, "references": "none", "kinds": "live", "budget": budget,
    }  # fmt: skip
    file = folder / f"{name}.sql"
    file.write_text("".join(f"-- {key}: {value}\n" for key, value in header.items() if value) + predicate)
    return file


def stamp(value: float) -> bytes:
    """Write a gzipped FITS image of 5 by 5 pixels, one of them bright."""
    cards = ("SIMPLE  = T", "BITPIX  = -32", "NAXIS   = 2", "NAXIS1  = 5", "NAXIS2  = 5", "END")
    pixels = np.zeros((5, 5), ">f4")
    pixels[2, 2] = value
    return gzip.compress("".join(card.ljust(80) for card in cards).ljust(2880).encode() + pixels.tobytes())


def test_the_list_has_every_filter_with_its_topic(fink: Fink) -> None:
    code, out, _ = fink("filter list")
    assert code == EXIT_OK
    assert len(out.splitlines()) == len(load_filters(ZTF, ["live", "night"]).filters)
    assert any(line.startswith("fink_vra_ztf ") for line in out.splitlines())
    rows = json.loads(fink("filter list --json")[1])
    (vra,) = [row for row in rows if row["name"] == "vra"]
    assert {"name", "topic", "digest", "version", "budget"} <= set(vra)


def test_the_words_of_filters_are_explained(fink: Fink) -> None:
    code, out, _ = fink("filter terms")
    assert code == EXIT_OK
    assert "GOOD (bool): looks like a real point source\n    candidate.drb > 0.5 AND candidate.classtar > 0.4" in out
    told = json.loads(fink("filter terms --json")[1])
    assert {"age", "EG", "UNCAT", "HL", "GOOD", "POS"} <= {term["name"] for term in told["terms"]}


def test_a_refusal_points_at_the_place(fink: Fink, tmp_path: Path) -> None:
    file = write(tmp_path, "EG\nAND colour > 1")
    for command in (f"filter check {file}", f"filter promote {file}", f"filter backtest {file} --nights {RANGE}"):
        code, _, err = fink(command)
        assert code == EXIT_FAILED
        assert f"{file}:11:5: unknown column 'colour'" in err
        assert "AND colour > 1\n    ^" in err


def test_a_backtest_counts_by_night_and_tells_what_the_alerts_are(fink: Fink, tmp_path: Path, lake: Lake) -> None:
    file = write(tmp_path, "roid = 2 AND EG")
    code, out, _ = fink(f"filter backtest {file} --nights {RANGE}")
    assert code == EXIT_OK
    assert out.startswith("mine version 1 takes ")
    assert "µs per alert" in out
    told = json.loads(fink(f"filter backtest {file} --nights {RANGE} --json")[1])
    assert [night["night"] for night in told["nights"]] == list(NIGHTS)
    assert [night["alerts"] for night in told["nights"]] == [lake.count("science", night) for night in NIGHTS]
    assert told["taken"] == sum(night["taken"] for night in told["nights"]) > 0
    assert all(0 < night["objects"] <= night["taken"] for night in told["nights"])
    assert told["overlap"]["sso_fink_candidates"] == told["taken"]
    assert told["overlap"]["sso_ztf_candidates"] == 0
    for counts in told["classes"].values():
        assert sum(counts.values()) == told["taken"]
    assert len({sample["object_id"] for sample in told["samples"]}) == len(told["samples"]) == 12


def test_a_filter_that_is_there_can_be_named(fink: Fink) -> None:
    told = json.loads(fink(f"filter backtest vra --nights {NIGHTS[1]} --json")[1])
    assert (told["name"], [night["night"] for night in told["nights"]]) == ("vra", [NIGHTS[1]])
    assert "vra" not in told["overlap"]


@pytest.mark.parametrize(
    ("nights", "words"),
    [
        ("2024", "nights are YYYYMMDD or"),
        ("..", "nights are YYYYMMDD or"),
        ("20300101..20300131", f"it has {NIGHTS[0]} to {NIGHTS[-1]}"),
    ],
)
def test_nights_that_are_not_there_are_named(fink: Fink, nights: str, words: str) -> None:
    code, _, err = fink(f"filter backtest vra --nights {nights}")
    assert code == EXIT_FAILED
    assert words in err


def test_the_report_is_one_file_with_light_curves_and_images(fink: Fink, tmp_path: Path, lake: Lake) -> None:
    file = write(tmp_path, "roid = 2")
    ids = [sample["alert_id"] for sample in json.loads(
        fink(f"filter backtest {file} --nights {NIGHTS[2]} --samples 3 --json")[1])["samples"]]  # fmt: skip
    images = {"alert_id": ids[:2], "batch": ["b"] * 2, "night": [NIGHTS[2]] * 2}
    kinds = {kind: [stamp(5.0), b"no image"] for kind in ("science", "template", "difference")}
    lake.append("cutouts", pa.table(images | kinds))
    page = tmp_path / "reports" / "mine.html"
    code, out, _ = fink(f"filter backtest {file} --nights {NIGHTS[2]} --samples 3 --html {page}")
    assert code == EXIT_OK
    assert f"Report: {page}" in out
    text = page.read_text()
    assert "Mine &amp; yours" in text
    assert all(str(alert_id) in text for alert_id in ids)
    assert text.count("data:image/png;base64,") == 4
    assert "http" not in text, "it needs nothing from elsewhere"


# -- promotion ---------------------------------------------------------------------------------------------------------


def measured(settings: Settings, told: dict[str, object], **changes: object) -> None:
    """Change the record of a backtest: as if the nights had been larger."""
    path = record_path(settings.home, "ztf", str(told["digest"]))
    record = read_json(path)
    assert record is not None
    write_json(path, record | {"alerts": 10 * MIN_ALERTS, "evaluate_us_per_alert": 1.0} | changes)


def backtested(fink: Fink, file: Path) -> dict[str, object]:
    """Run a backtest over all nights."""
    told: dict[str, object] = json.loads(fink(f"filter backtest {file} --nights {RANGE} --json")[1])
    return told


def test_a_filter_goes_live_after_a_backtest_within_its_budget(
    fink: Fink, tmp_path: Path, installation: Settings
) -> None:
    file = write(tmp_path, "roid = 2 AND EG", "promoted")
    code, _, err = fink(f"filter promote {file}")
    assert code == EXIT_FAILED
    assert "never backtested" in err
    measured(installation, backtested(fink, file))
    live = LiveFilters(ZTF, installation.home)
    assert "promoted" not in live.current.names
    code, out, _ = fink(f"filter promote {file}")
    assert code == EXIT_OK
    assert "fink_promoted_ztf" in out
    found = live.refresh()
    assert found is not None
    assert "promoted" in found.names
    assert live.refresh() is None
    assert "fink_promoted_ztf" in fink("filter list")[1]
    # the same file again is no change; another predicate needs another version
    assert fink(f"filter promote {file}")[0] == EXIT_OK
    changed = write(tmp_path, "roid = 2", "promoted")
    measured(installation, backtested(fink, changed))
    code, _, err = fink(f"filter promote {changed}")
    assert code == EXIT_FAILED
    assert "give it a new version" in err
    assert fink("filter withdraw promoted")[0] == EXIT_OK
    found = live.refresh()
    assert found is not None
    assert "promoted" not in found.names
    assert fink("filter withdraw promoted")[0] == EXIT_FAILED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"share": 0.91}, "its budget is 90 %"),
        ({"alerts": MIN_ALERTS - 1}, f"saw {MIN_ALERTS - 1} alerts"),
        ({"evaluate_us_per_alert": 5000.0}, "5000.0 µs per alert"),
    ],
)
def test_a_filter_that_takes_or_costs_too_much_stays_out(
    fink: Fink, tmp_path: Path, installation: Settings, changes: dict[str, object], words: str
) -> None:
    file = write(tmp_path, "roid = 2", "greedy")
    measured(installation, backtested(fink, file), **changes)
    code, _, err = fink(f"filter promote {file}")
    assert code == EXIT_FAILED
    assert words in err
    assert not live_path(installation.home, "ztf", "greedy").exists()


def test_names_budgets_and_kinds_are_part_of_the_gate(fink: Fink, tmp_path: Path) -> None:
    file = write(tmp_path, "roid = 2", "vra", budget="")
    file.write_text(file.read_text().replace("kinds: live", "kinds: night"))
    code, _, err = fink(f"filter promote {file}")
    assert code == EXIT_FAILED
    assert all(words in err for words in ("the broker has a filter 'vra'", "no budget", "needs 'live'"))


def test_a_set_that_may_not_run_is_not_taken_over(
    installation: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live = LiveFilters(ZTF, tmp_path)
    names = live.current.names
    folder = tmp_path / "filters" / "ztf"
    folder.mkdir(parents=True)
    bad = write(folder, "colour > 1", "bad")
    with caplog.at_level(logging.ERROR):
        assert live.refresh() is None
        assert live.refresh() is None
    assert [record.message.count("unknown column 'colour'") for record in caplog.records] == [1]
    assert live.current.names == names
    bad.write_text(bad.read_text().replace("colour > 1", "roid = 1"))
    found = live.refresh()
    assert found is not None
    assert set(found.names) == {*names, "bad"}
    write(folder, "roid = 4", "vra")  # a second filter of one name
    assert live.refresh() is None
