"""Every way to ask, over a real HBase and a real lake: an answer is the same wherever a night is read from."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pyarrow as pa
import pytest

from fink_lib.api import scans
from fink_lib.archive.hbase import HBase
from fink_lib.archive.registry import register
from fink_lib.archive.tables import archive_table, night_tables
from fink_lib.archive.writer import put_rows, write_tables
from fink_lib.config import Settings
from fink_lib.filters import load_filters
from fink_lib.filters.night import select_night
from fink_lib.lake import Lake, open_lake
from fink_lib.nightly.nights import set_state
from fink_lib.nightly.resolvers import asteroid_names
from tests.night_rows import replace
from tests.unit.api.conftest import alerts, serving

pytestmark = pytest.mark.usefixtures("hbase")

NIGHTS = ("20240310", "20240311", "20240312")
FIRST = 10**17
NUMBER = 60
CLASSES = ("SN candidate", "RRLyrae", None, "Unknown")
OBJECT = "ZTF18aaaaaah"
TRAIL = "TRCK_20240311_024900_00"

QUERIES = {
    "an object": ("objects", {"objectId": OBJECT}),
    "an object with its history": ("objects", {"objectId": OBJECT, "withupperlim": "True"}),
    "few columns": ("objects", {"objectId": f"{OBJECT},ZTF18aaaaaai", "columns": "i:jd,v:rate,d:cdsxmatch"}),
    "a class": ("latests", {"class": "Unknown", "n": 1000}),
    "a class, strictly": ("latests", {"class": "Unknown", "n": 1000, "nulls": "strict"}),
    "the newest of a class": ("latests", {"class": "SN candidate", "n": 17}),
    "a class, light columns": ("latests", {"class": "RRLyrae", "n": 30, "columns": "i:objectId,i:jd,i:magpsf"}),
    "a class that rises": ("latests", {"class": "Unknown", "trend": "rising", "n": 12}),
    "a class with colours": ("latests", {"class": "RRLyrae", "color": "True", "n": 9}),
    "a class in a night": ("latests", {"class": "Unknown", "startdate": "2024-03-11", "stopdate": "2024-03-12"}),
    "a class of TNS": ("latests", {"class": "(TNS) SN Ia", "n": 100}),
    "superluminous supernovae": ("latests", {"class": "SLSN candidate", "n": 100}),
    "anomalies": ("anomaly", {"n": 100}),
    "anomalies of a day": ("anomaly", {"n": 100, "start_date": "2024-03-11", "stop_date": "2024-03-11"}),
    "a cone": ("conesearch", {"ra": 10.02, "dec": 20.025, "radius": 60}),
    "a wide cone": ("conesearch", {"ra": 10, "dec": 20, "radius": 18000}),
    "a cone, two columns": ("conesearch", {"ra": 10, "dec": 20, "radius": 90, "columns": "i:objectId,d:cdsxmatch"}),
    "a cone by first detection": ("conesearch", {"ra": 10, "dec": 20, "radius": 9000, "startdate": "2023-12-01",
                                                 "window": 60}),
    "a cone by any alert": ("conesearch", {"ra": 10, "dec": 20, "radius": 9000, "startdate": "2024-03-10",
                                           "stopdate": "2024-03-12", "date-mode": "any"}),
    "a tracklet": ("tracklet", {"date": "2024-03-11"}),
    "an asteroid": ("sso", {"n_or_d": "8467"}),
    "asteroids": ("sso", {"n_or_d": "8467, 2010 JO69", "columns": "i:ssnamenr,i:jd,i:magpsf,d:roid"}),
    "an object of SIMBAD": ("resolver", {"resolver": "simbad", "name": OBJECT, "reverse": "True"}),
}  # fmt: skip


def rows_of_night(lake: Lake, night: str, first: int) -> pa.Table:
    rows = alerts(lake, night, first, NUMBER)
    counting = np.arange(NUMBER)
    jd = rows.column("candidate").combine_chunks().field("jd").to_numpy()
    candidate = {
        "ra": 10.0 + (counting // 10) * 0.01,
        "dec": 20.0 + counting * 1e-3,
        "jdstarthist": np.full(NUMBER, 2460379.6) - 5.0 * counting,
        "ssnamenr": [("8467", "2010JO69", "null")[place % 3] for place in counting],
    }
    fields = [field.name for field in lake.schema("raw").field("prv_candidates").type.value_type]
    limits = [{"jd": float(time) - 3.25, "fid": 1, "diffmaglim": 20.5} for time in jd]
    return replace(
        rows,
        finkclass=[CLASSES[place % 4] for place in counting],
        tns=["SN Ia" if place % 7 == 0 else None for place in counting],
        mag_rate=[(-0.1, 0.2, None)[place % 3] for place in counting],
        tracklet=[TRAIL if 5 <= place < 8 and night in TRAIL else None for place in counting],
        anomaly_score=[place / 100 if place < 20 else None for place in counting],
        prv_candidates=[[{name: limit.get(name) for name in fields}] for limit in limits],
        candidate=candidate,
    )


@pytest.fixture(scope="module")
def settings(stack_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    changes = {"table_prefix": f"t{uuid.uuid4().hex[:8]}.", "pre_split": False}
    hbase = stack_home.hbase.model_copy(update=changes)
    lake = str(tmp_path_factory.mktemp("reading") / "lake")
    return stack_home.model_copy(update={"hbase": hbase, "lake_uri": lake})


@pytest.fixture(scope="module")
def lake(settings: Settings) -> Lake:
    lake = open_lake(settings, "ztf")
    lake.ensure()
    for place, night in enumerate(NIGHTS):
        lake.append("science", rows_of_night(lake, night, FIRST + place * NUMBER))
    return lake


def say(lake: Lake, night: str, state: str, after_h: float = 0) -> None:
    set_state(lake, night, state, "publish", "", datetime(2024, 3, 14, tzinfo=UTC) + timedelta(hours=after_h))


def ask(client: httpx.Client, path: str, arguments: dict[str, object]) -> list[dict[str, object]]:
    answer = client.get(f"/api/v1/{path}", params=arguments)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, object]] = answer.json()
    return rows


def without_source(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name != "v:source"} for row in rows]


@pytest.fixture(scope="module")
def named(settings: Settings, lake: Lake) -> Settings:
    """Write the names of some transients and asteroids."""
    texts = {
        "d:fullname": ["SN 2023ixf", "SN 2023aaa", "AT 2023ixg"],
        "d:internalname": ["ZTF23aaklqou", OBJECT, "ATLAS23x"],
        "d:type": ["SN II", "SN Ia", None],
        "d:discoverydate": ["2023-05-19"] * 3,
    }
    columns = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    columns |= {f"d:{name}": pa.array([1.0, 2.0, 3.0]) for name in ("ra", "declination", "redshift")}
    given = pa.table(columns)
    tables = [archive_table(lake.survey, name) for name in ("ztf.tns_resolver", "ztf.sso_resolver")]
    with HBase(settings.hbase) as hbase:
        register(hbase, settings.hbase, tables, lake.survey)
        for by in ("fullname", "internalname"):
            rows = given.append_column("by", pa.array([by] * 3)).append_column("sought", given.column(f"d:{by}"))
            put_rows(hbase, lake.survey, "ztf.tns_resolver", rows, 1)
        put_rows(hbase, lake.survey, "ztf.sso_resolver", asteroid_names(["8467", "2010JO69"]), 1)
    return settings


@pytest.fixture(scope="module")
def from_lake(named: Settings) -> dict[str, list[dict[str, object]]]:
    """Give every answer while nothing is archived."""
    with serving(named) as client:
        return {name: ask(client, *query) for name, query in QUERIES.items()}


@pytest.fixture(scope="module")
def archived(named: Settings, lake: Lake, from_lake: object) -> Settings:
    """Archive two of the three nights."""
    filters = load_filters(lake.survey, ["night"], home=named.home)
    for night in NIGHTS[:2]:
        chosen = {name: [one.alert_id for one in found] for name, found in select_night(lake, night, filters).items()}
        write_tables(named, "ztf", [table.name for table in night_tables(lake.survey)], night, chosen)
        say(lake, night, "archived")
    return named


@pytest.fixture(scope="module")
def client(archived: Settings):  # type: ignore[no-untyped-def]
    with serving(archived) as client:
        yield client


@pytest.mark.parametrize("name", QUERIES)
def test_an_archived_night_answers_as_the_lake_did(client, from_lake, name):
    rows = ask(client, *QUERIES[name])
    assert without_source(rows) == without_source(from_lake[name])
    assert rows or name == "superluminous supernovae", "a question without an answer proves nothing"


def test_the_answer_says_what_came_from_where(client, from_lake):
    rows = ask(client, "latests", {"class": "Unknown", "n": 1000})
    nights = {row["v:lastdate"][:10].replace("-", ""): row["v:source"] for row in rows}
    assert nights == {NIGHTS[0]: "archive", NIGHTS[1]: "archive", NIGHTS[2]: "lake"}
    assert {row["v:source"] for row in from_lake["a class"]} == {"lake"}


def test_transients_are_found_by_name_in_any_case_and_by_object(client):
    def found(**arguments):
        return [row["d:fullname"] for row in ask(client, "resolver", {"resolver": "tns", **arguments})]

    assert found(name="sn 2023") == ["SN 2023aaa", "SN 2023ixf"]
    assert found(name="SN 2023IXF") == ["SN 2023ixf"]
    assert found(name="", nmax=100) == ["AT 2023ixg", "SN 2023aaa", "SN 2023ixf"]
    assert found(name=OBJECT, reverse="True") == ["SN 2023aaa"]
    assert found(name="sn 2023", nmax=1) == ["SN 2023aaa"]
    assert found(name="no such") == []


def test_asteroids_are_found_by_name_and_by_object(client):
    def found(**arguments):
        return [row["i:ssnamenr"] for row in ask(client, "resolver", {"resolver": "ssodnet", **arguments})]

    assert found(name="8467") == ["8467"]
    assert found(name="2010 jo69", nmax=1) == found(name="2010JO69") == ["2010JO69"]
    assert found(name="2010", nmax=10) == ["2010JO69"]
    assert set(found(name="ZTF18aaaaaaa", reverse="True")) == {"8467"}


@pytest.mark.parametrize("name", ["a class", "a class that rises", "anomalies"])
def test_a_bounded_scan_goes_on_where_it_ended(client, monkeypatch, name):
    path, arguments = QUERIES[name]
    whole = ask(client, path, {**arguments, "n": 1000})
    monkeypatch.setattr(scans, "MOST_SCANNED", 10)
    monkeypatch.setattr(scans, "CHUNK_ROWS", 10)
    pages, token = [], None
    while token or not pages:
        more = {"continue": token} if token else {}
        answer = client.get(f"/api/v1/{path}", params={**arguments, "n": 1000, **more})
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        token = answer.headers.get("Fink-Continue")
        assert len(pages) < 100
    assert [row for page in pages for row in page] == whole
    assert len(pages) > 1


def test_a_night_that_was_opened_again_is_read_from_the_lake(archived, lake):
    replay = rows_of_night(lake, NIGHTS[1], FIRST + 10 * NUMBER).slice(0, NUMBER // 2)
    lake.replace_night("science", NIGHTS[1], replay)
    say(lake, NIGHTS[1], "closing", after_h=1)
    with serving(archived) as client:
        mixed = {name: ask(client, *query) for name, query in QUERIES.items()}
    for night in NIGHTS:
        say(lake, night, "closing", after_h=2)
    with serving(archived) as client:
        plain = {name: ask(client, *query) for name, query in QUERIES.items()}
    for name in QUERIES:
        assert without_source(mixed[name]) == without_source(plain[name]), name
