"""``fink transfer`` as it is typed: what it prints, what it refuses, and with which code it ends."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fink_lib.cli import run
from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from fink_lib.lake import open_lake
from fink_lib.transfer.job import JobStore
from tests.unit.transfer.nights import ALERTS, FIRST, NIGHTS, add_nights

Fink = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def fink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fink:
    """Give the command, in an installation with two nights and no services."""
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    lake = open_lake(load_settings(tmp_path), "ztf")
    lake.ensure()
    add_nights(lake)

    def typed(line: str) -> tuple[int, str, str]:
        code = run(["transfer", *shlex.split(line)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return typed


def test_files_are_written_at_once_with_here(fink: Fink, tmp_path: Path) -> None:
    code, out, _ = fink(f"submit --nights {NIGHTS} --columns candid,magpsf --here --parquet {tmp_path / 'out'}")
    assert code == EXIT_OK
    assert f"{2 * ALERTS} rows of 2 nights, about" in out
    assert f"not closed yet: {FIRST}, 20240313" in out
    assert out.splitlines()[-1] == f"done: {2 * ALERTS} rows in {tmp_path / 'out'}"
    assert sum(pq.read_metadata(file).num_rows for file in (tmp_path / "out").glob("*.parquet")) == 2 * ALERTS


def test_a_dry_run_counts_and_keeps_nothing(fink: Fink, tmp_path: Path) -> None:
    code, out, _ = fink(f"submit --nights {FIRST} --where 'roid = 1' --class 'SN candidate' --dry-run --json")
    told = json.loads(out)
    assert (code, told["nights"]) == (EXIT_OK, 1)
    assert 0 < told["expected"] < ALERTS // 5
    assert JobStore(tmp_path).list() == []


def test_without_airflow_nothing_is_submitted(fink: Fink, tmp_path: Path) -> None:
    code, _, err = fink(f"submit --nights {NIGHTS}")
    assert code == EXIT_FAILED
    assert "--here does without" in err
    assert JobStore(tmp_path).list() == []


def test_a_refused_condition_is_pointed_at(fink: Fink) -> None:
    code, _, err = fink(f"submit --nights {NIGHTS} --here --where 'roid = 3 AND magpsff < 18'")
    assert code == EXIT_FAILED
    assert err.splitlines()[-2:] == ["roid = 3 AND magpsff < 18", "             ^"]


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        (f"submit --nights {NIGHTS} --here --columns nothing", EXIT_FAILED, "no column is called 'nothing'"),
        (f"submit --nights {NIGHTS} --here --filter nothing", EXIT_FAILED, "no filter is called 'nothing'"),
        ("submit --nights 20300101 --here", EXIT_FAILED, "no science of the nights"),
        ("submit --here", EXIT_USAGE, "--nights"),
        ("show ftransfer_ztf_2026-03-23_1", EXIT_FAILED, "no transfer is called"),
        ("cancel everything", EXIT_FAILED, "is no transfer"),
    ],
)
def test_refusals_are_sentences(fink: Fink, line: str, code: int, told: str) -> None:
    ended, _, err = fink(line)
    assert (ended, told in err) == (code, True), err


def test_a_transfer_is_listed_shown_and_cancelled(fink: Fink, tmp_path: Path) -> None:
    _, out, _ = fink(f"submit --nights {NIGHTS} --columns light --here --json --parquet {tmp_path / 'out'}")
    job = json.loads(out)
    assert (job["state"], job["sent"], job["expected"]) == ("done", 2 * ALERTS, 2 * ALERTS)
    _, out, _ = fink("list")
    assert job["id"] in out and "nights 20240312..20240313; columns light" in out
    assert [one["id"] for one in json.loads(fink("list --json")[1])] == [job["id"]]
    assert f"done: {2 * ALERTS} of {2 * ALERTS} rows" in fink(f"show {job['id']}")[1]
    assert json.loads(fink(f"show {job['id']} --json")[1]) == job
    code, out, _ = fink(f"cancel {job['id']}")
    assert code == EXIT_OK
    assert "the files in" in out
    assert list((tmp_path / "out").glob("*.parquet"))
    assert fink("expire") == (EXIT_OK, "no transfer is over\n", "")
