"""One compiled predicate gives the same alerts in the stream, in a backtest and in an answer of the API."""

from __future__ import annotations

from collections import defaultdict

import pyarrow.parquet as pq
import pytest

from fink_lib.config import Settings
from fink_lib.filters import FilterSet, load_filters
from fink_lib.filters.backtest import backtest
from fink_lib.filters.reading import read_values
from fink_lib.lake import Lake
from fink_lib.provenance import load_definitions, trace
from fink_lib.streams.packet import Packet
from fink_lib.streams.packing import PIECE_ROWS, passing
from fink_lib.streams.pieces import pieces_of
from fink_lib.streams.report import Share
from fink_lib.surveys import get_survey
from tests.unit.filters.conftest import NIGHTS

LIVE = load_filters(get_survey("ztf"))
EVERY = 10_000

Taken = dict[str, set[int]]


@pytest.fixture(scope="module")
def in_the_stream(lake: Lake) -> Taken:
    """Give what the workers of distribution hand on, by filter."""
    found: Taken = defaultdict(set)
    uris = (uri if "://" in uri else f"file://{uri}" for uri in lake.table("science").file_uris())
    files = {uri: pq.read_metadata(uri.removeprefix("file://")).num_rows for uri in uris}
    for piece in pieces_of(files, PIECE_ROWS):
        for rows, route in passing(lake, Packet(lake.survey), LIVE, piece, Share(), 64):
            for alert_id, names in zip(rows.column("candid").to_pylist(), route.to_pylist(), strict=True):
                for name in names:
                    found[name].add(alert_id)
    return found


def test_the_whole_rows_give_what_single_fields_give(lake: Lake, in_the_stream: Taken) -> None:
    whole = lake.read("science")
    found: Taken = defaultdict(set)
    for alert_id, names in zip(whole.column("candid").to_pylist(), LIVE.route(whole).to_pylist(), strict=True):
        for name in names:
            found[name].add(alert_id)
    assert found == in_the_stream
    assert set(found) == set(LIVE.names)


@pytest.mark.parametrize("name", LIVE.names)
def test_a_backtest_takes_what_the_stream_sends(lake: Lake, in_the_stream: Taken, name: str) -> None:
    (chosen,) = [f for f in LIVE.filters if f.name == name]
    told = backtest(lake, NIGHTS, chosen, LIVE, samples=EVERY)
    assert told.taken == len(in_the_stream[name])
    assert {sample.alert_id for sample in told.samples} <= in_the_stream[name]
    assert told.compared == told.taken
    assert told.overlap == {
        other: len(in_the_stream[name] & in_the_stream[other]) for other in LIVE.names if other != name
    }


def test_the_api_tells_of_each_alert_which_filters_the_stream_sent_it_to(
    lake: Lake, installation: Settings, in_the_stream: Taken
) -> None:
    definitions = load_definitions(installation, lake.survey)
    science = lake.read("science", [NIGHTS[1]])
    lake.append("raw", science.select(lake.schema("raw").names))
    for alert_id in science.column("candid").to_pylist()[::10]:
        told = trace(lake, alert_id, definitions)
        assert told is not None
        passing_now = {one["name"] for one in told["filters"] if one["passes"]}
        assert passing_now == {name for name, ids in in_the_stream.items() if alert_id in ids}


def test_a_file_that_is_older_than_a_column_gives_nulls(lake: Lake) -> None:
    uri = lake.table("science").file_uris()[0]
    whole = pq.read_table(uri.removeprefix("file://"), partitioning=None)
    plan = FilterSet(tuple(f for f in LIVE.filters if f.name in ("sso_ztf_candidates", "tns_match")))
    older = f"{lake.root}/older.parquet"
    pq.write_table(whole.drop_columns(["tns"]), older)
    seen = read_values(pq.ParquetFile(older), 0, plan.references, lake.schema("science"))
    verdicts = plan.evaluate(seen)
    assert not any(verdicts.column("tns_match").to_pylist())
    assert verdicts.column("sso_ztf_candidates") == plan.evaluate(whole).column("sso_ztf_candidates")
