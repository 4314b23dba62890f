"""Recall and purity against an injected truth: counted by hand, and as typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fink_lib.cli import run
from fink_lib.config import Settings
from fink_lib.errors import EXIT_FAILED, EXIT_OK, ConfigError
from fink_lib.filters import KINDS, FilterError, FilterSet, load_filters, read_filter
from fink_lib.filters.night import select_night
from fink_lib.filters.recall import Count, Taken, of_nights, read_truth, score, take_nights
from fink_lib.lake import Lake
from fink_lib.simulator.synthetic.kinds import Kind
from fink_lib.surveys import get_survey
from tests.unit.filters.conftest import NIGHTS

ZTF = get_survey("ztf")
INJECTED = {kind.name.lower() for kind in Kind}


def filter_of(folder: Path, targets: str, predicate: str = "roid = 3", kinds: str = "live") -> FilterSet:
    header = {
        "topic": "fink_mine_ztf", "title": "Mine", "description": "What I want", "author": "A. Person",
        "contact": "a.person@example.org", "version": "1", "references": "none", "kinds": kinds, "targets": targets,
    }  # fmt: skip
    file = folder / "mine.sql"
    file.write_text("".join(f"-- {key}: {value}\n" for key, value in header.items() if value) + predicate)
    return FilterSet((read_filter(file, ZTF),))


def truth_of(*rows: tuple[int, str, str], night: str = NIGHTS[0]) -> pa.Table:
    candid, name, kind = zip(*rows, strict=True)
    return pa.table({"candid": candid, "objectId": name, "kind": kind, "night": [night] * len(rows)})


TRUTH = truth_of(
    (1, "A", "sn_ia"), (2, "A", "sn_ia"), (3, "B", "sn_ia"), (4, "C", "sn_ii"), (5, "D", "agn"), (6, "E", "agn"),
    (7, "F", "sn_ia"),
)  # fmt: skip


def test_alerts_and_objects_are_counted_each_for_itself(tmp_path: Path) -> None:
    filters = filter_of(tmp_path, "sn_ia, sn_ii")
    seen, takes = np.array([1, 2, 3, 4, 5, 6, 99]), np.array([1, 2, 4, 5, 99])  # 7 failed a cut, 99 is not ours
    (one,) = score(TRUTH, Taken(seen, {"mine": takes}), filters)
    assert (one.injected, one.wanted) == (Count(5, 4), Count(4, 3))
    assert (one.taken, one.found, one.foreign) == (Count(4, 3), Count(3, 2), 1)
    assert one.recall == {"alerts": 3 / 4, "objects": 2 / 3}
    assert one.purity == {"alerts": 3 / 4, "objects": 2 / 3}
    assert one.composition == {"sn_ia": 2, "sn_ii": 1, "agn": 1}


def test_a_filter_that_is_meant_for_nothing_has_neither(tmp_path: Path) -> None:
    filters = filter_of(tmp_path, "")
    (one,) = score(TRUTH, Taken(np.arange(8), {"mine": np.array([5])}), filters)
    assert set(one.recall.values()) == set(one.purity.values()) == {None}
    assert one.composition == {"agn": 1}


def test_one_that_takes_nothing_has_no_purity(tmp_path: Path) -> None:
    filters = filter_of(tmp_path, "agn")
    (one,) = score(TRUTH, Taken(np.arange(8), {"mine": np.empty(0, np.int64)}), filters)
    assert one.recall == {"alerts": 0.0, "objects": 0.0}
    assert one.purity == {"alerts": None, "objects": None}


def test_a_truth_of_other_nights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no alert of the truth"):
        score(TRUTH, Taken(np.array([50]), {"mine": np.array([50])}), filter_of(tmp_path, "agn"))


def test_only_the_truth_of_the_nights_that_are_asked_for_counts() -> None:
    both = pa.concat_tables([TRUTH, truth_of((8, "G", "agn"), night="20300101")])
    assert of_nights(both, [NIGHTS[0], "20290101"]).num_rows == TRUTH.num_rows


def test_filters_take_what_the_stream_and_the_night_take(lake: Lake) -> None:
    filters = load_filters(ZTF, KINDS)
    taken = take_nights(lake, NIGHTS, filters)
    whole = lake.read("science")
    assert sorted(taken.seen.tolist()) == sorted(whole.column("candid").to_pylist())
    verdicts = load_filters(ZTF).evaluate(whole)
    ids = whole.column("candid").to_numpy()
    for name in verdicts.column_names:
        assert sorted(taken.by_filter[name].tolist()) == sorted(ids[verdicts.column(name).to_numpy()].tolist()), name
    night = load_filters(ZTF, ["night"])
    chosen = [select_night(lake, one, night) for one in NIGHTS]
    for name in night.names:
        wanted = [alert.alert_id for of_night in chosen for alert in of_night[name]]
        assert sorted(taken.by_filter[name].tolist()) == sorted(wanted), name


def test_what_the_filters_of_the_broker_are_meant_for_can_be_injected() -> None:
    for f in load_filters(ZTF, KINDS).filters:
        assert set(f.targets) <= INJECTED, f.name


@pytest.mark.parametrize("targets", ["SN Ia", "sn_ia,,sn_ii", "sn_ia; agn"])
def test_targets_are_names_of_kinds(tmp_path: Path, targets: str) -> None:
    with pytest.raises(FilterError, match="targets are kinds"):
        filter_of(tmp_path, targets)


def test_targets_change_no_digest(tmp_path: Path) -> None:
    assert filter_of(tmp_path, "agn").digest == filter_of(tmp_path, "").digest


def test_a_file_that_is_no_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no truth"):
        read_truth([tmp_path / "absent.parquet"])
    pq.write_table(TRUTH.drop_columns(["night"]), tmp_path / "old.parquet")
    with pytest.raises(ConfigError, match="night"):
        read_truth([tmp_path / "old.parquet"])


def test_recall_as_it_is_typed(
    lake: Lake,
    installation: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FINK_HOME", str(installation.home))
    rows = lake.read("science", [NIGHTS[0]], ["candid", "objectId", "roid"]).to_pylist()
    known = [(row["candid"], row["objectId"], "asteroid" if row["roid"] == 3 else "agn") for row in rows]
    pq.write_table(truth_of(*known), tmp_path / "truth.parquet")
    words = f"filter recall --truth {tmp_path}/truth.parquet --nights {NIGHTS[0]} --filter sso_ztf_candidates"
    assert run(words.split()) == EXIT_OK
    assert "100 / 100" in capsys.readouterr().out
    assert run([*words.split(), "--json"]) == EXIT_OK
    (told,) = json.loads(capsys.readouterr().out)
    assert told["name"] == "sso_ztf_candidates"
    assert told["recall"] == told["purity"] == {"alerts": 1.0, "objects": 1.0}
    assert told["found"]["alerts"] == sum(kind == "asteroid" for *_, kind in known) > 0
    assert run([*words.split()[:3], str(tmp_path / "no"), *words.split()[4:]]) == EXIT_FAILED
    assert "is no truth" in capsys.readouterr().err
