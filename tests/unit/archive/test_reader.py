"""Reading every table back: by key, by name, by time, by place; what a reader gets is what the lake holds."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fink_lib.archive.keys import SALTS
from fink_lib.archive.reader import ArchiveReader
from fink_lib.archive.rows import pack_given
from fink_lib.archive.sky import pixel_of
from fink_lib.archive.tables import archive_table, archive_tables
from fink_lib.nightly.resolvers import asteroid_names, transient_names
from fink_lib.surveys.ztf_columns import full_columns, index_columns, light_columns
from tests.night_rows import NIGHT
from tests.unit.archive.memory import MemoryHBase
from tests.unit.archive.nights import SURVEY, TABLES, archive_night, put
from tests.unit.archive.test_codec import bits

NUMBER = 60
LATER = "20240314"
CHOSEN = {"anomaly": [2, 40, 41], "low_blazar_state": [3], "high_blazar_state": [5], "slsn": [7]}


@pytest.fixture(scope="module")
def science() -> pa.Table:
    return archive_night(NUMBER, seed=5)


@pytest.fixture(scope="module")
def hbase(science) -> MemoryHBase:
    """Two nights of the same objects in every table."""
    hbase = MemoryHBase()
    later = archive_night(NUMBER, seed=5, night=LATER, first_id=1001, days=2)
    for table in TABLES:
        put(hbase, science, table, 0, CHOSEN)
        put(hbase, later, table, 0, {name: [1000 + one for one in ids] for name, ids in CHOSEN.items()}, LATER)
    return hbase


def reader(hbase: MemoryHBase, table: str) -> ArchiveReader:
    return ArchiveReader(hbase, SURVEY, table)


def ids(table: pa.Table) -> list[int]:
    return table.column("i:candid").to_pylist()


def of_class(science: pa.Table, name: str) -> list[tuple[float, str, int]]:
    """Give time, object and id of the alerts of a class."""
    rows = zip(*(science.column(c).to_pylist() for c in ("finkclass", "objectId", "candid", "candidate")), strict=True)
    return sorted((candidate["jd"], object_id, candid) for kind, object_id, candid, candidate in rows if kind == name)


def test_alerts_of_a_class_come_in_order_of_time_over_all_salts(hbase, science):
    wanted = [candid for _, _, candid in of_class(science, "SN candidate")]
    wanted += [1000 + candid for candid in wanted]
    assert len({candid % SALTS for candid in wanted}) > 3
    light = {"i:candid", "i:jd"}
    found = reader(hbase, "ztf.class")
    assert ids(found.by_prefix("SN candidate", columns=light)) == wanted
    newest = pa.concat_tables(found.read("SN candidate", newest_first=True, columns=light, chunk=3))
    assert ids(newest) == wanted[::-1]
    assert found.by_prefix("SN").num_rows == 0


def test_a_reader_may_stop_and_bound_the_time(hbase, science):
    rows = of_class(science, "Unknown")
    (first, *_), middle = rows[0], rows[len(rows) // 2][0]
    found = reader(hbase, "ztf.class")
    bounded = pa.concat_tables(found.read("Unknown", low=first, high=middle, columns={"i:candid", "i:jd"}))
    assert ids(bounded) == [candid for jd, _, candid in rows if jd < middle]
    part = next(found.read("Unknown", newest_first=True, columns={"i:candid"}, chunk=2))
    assert part.num_rows == 2


def test_an_index_row_gives_the_columns_of_its_main_row(hbase, science):
    found = reader(hbase, "ztf.class").by_prefix("RR Lyr")
    assert set(index_columns()) <= set(found.column_names)
    main = reader(hbase, "ztf")
    wanted = main.by_keys([main.table.key.format(one) for one in zip(
        *(found.column(name).to_pylist() for name in ("i:objectId", "i:jd", "i:candid")), strict=True
    )])  # fmt: skip
    assert found.num_rows and bits(found.to_pylist()) == bits(wanted.select(found.column_names).to_pylist())


def test_light_columns_need_no_other_table(hbase):
    class Lonely(MemoryHBase):
        def cells(self, table, keys, columns=None):
            raise AssertionError("the main table was asked")

    lonely = Lonely()
    lonely._puts = hbase._puts
    visible = dict(MemoryHBase.scan(hbase, "ztf.class", b"", b"\xff"))
    lonely.scan = lambda *_, **__: iter(sorted(visible.items()))
    columns = set(light_columns()) | {"d:fink_status"}
    assert reader(lonely, "ztf.class").by_prefix("RR Lyr", columns=columns).num_rows


@pytest.mark.parametrize(
    ("table", "name"),
    [("ztf.anomaly", "anomaly"), ("ztf.low_state_blazars", "low_blazar_state"),
     ("ztf.high_state_blazars", "high_blazar_state"), ("ztf.slsn", "slsn")],
)  # fmt: skip
def test_what_filters_of_the_night_choose_is_found_by_time(hbase, table, name):
    found = reader(hbase, table).by_prefix()
    assert ids(found) == [*CHOSEN[name], *(1000 + one for one in CHOSEN[name])]
    full = full_columns([field.name for field in SURVEY.alert_schema.field("candidate").type])
    assert set(full) <= set(found.column_names)


def test_asteroids_transients_and_trails_are_found_by_name(hbase, science):
    rows = science.to_pylist()
    asteroid = [row["candid"] for row in rows if row["roid"] == 3 and row["candidate"]["ssnamenr"] == "8467"]
    assert ids(reader(hbase, "ztf.ssnamenr").by_prefix("8467")) == [*asteroid, *(1000 + one for one in asteroid)]
    transients = [row["candid"] for row in rows if row["tns"] == "SN II"]
    assert ids(reader(hbase, "ztf.tns").by_prefix("SN II"))[: len(transients)] == transients
    trail = f"TRCK_{NIGHT}_043012_01"
    members = [row["candid"] for row in rows if row["tracklet"] == trail]
    found = reader(hbase, "ztf.tracklet")
    assert sorted(ids(found.by_prefix(trail))) == members
    everything = [row["candid"] for row in rows if row["tracklet"]]
    assert sorted(ids(pa.concat_tables(found.read(begins=f"TRCK_{NIGHT}")))) == everything


def test_a_cone_gives_the_newest_alert_of_each_object_or_all(hbase, science):
    candidate = science.slice(10, 1).to_pylist()[0]["candidate"]
    found = reader(hbase, "ztf.pixel128")
    for radius_deg in (0.01, 2.0):
        newest = pa.concat_tables(found.in_cone(candidate["ra"], candidate["dec"], radius_deg))
        assert 1011 in ids(newest) and 11 not in ids(newest)
        every = ids(pa.concat_tables(found.in_cone(candidate["ra"], candidate["dec"], radius_deg, all_alerts=True)))
        assert {11, 1011} <= set(every) and every.index(1011) < every.index(11)
    assert {"d:classification", "d:fink_status", *light_columns()} <= set(newest.column_names)


def test_whole_pixels_give_what_lies_in_them(hbase, science):
    candidate = science.column("candidate").combine_chunks()
    pixels, _ = pixel_of(*(candidate.field(name).to_numpy(zero_copy_only=False) for name in ("ra", "dec")))
    wanted = sorted(1000 + one for one, pixel in enumerate(pixels.tolist(), 1) if pixel in pixels[:20])
    found = pa.concat_tables(reader(hbase, "ztf.pixel128").in_pixels(pixels[:20].tolist(), {"i:candid"}))
    assert sorted(ids(found)) == wanted


def test_points_of_a_history_are_rows(hbase, science):
    row = next(
        row for row in science.to_pylist() if row["prv_candidates"] and row["prv_candidates"][-1]["magpsf"] is None
    )
    found = reader(hbase, "ztf.upper").by_prefix(row["objectId"])
    entries = [entry for entry in row["prv_candidates"] if entry["magpsf"] is None]
    mine = found.slice(0, len(entries))
    assert mine.column("i:jd").to_pylist() == [entry["jd"] for entry in entries]
    assert mine.column("i:fid").to_pylist() == [entry["fid"] for entry in entries]
    assert set(found.column("i:objectId").to_pylist()) == {row["objectId"]}


def test_images_are_found_by_their_reference(hbase, science):
    row = science.slice(3, 1).to_pylist()[0]
    (reference,) = reader(hbase, "ztf.cutouts").by_prefix(row["objectId"]).slice(0, 1).column("d:hdfs_path").to_pylist()
    assert reference == f"cutouts/ztf/night={NIGHT}#{row['ingest']['batch'] or ''}#{row['candid']}"


def test_names_are_found_however_they_are_typed():
    objects = pa.table(
        {
            "ra": [1.0, 2.0],
            "declination": [3.0, 4.0],
            "fullname": ["SN 2023ixf", "AT 2018cow"],
            "type": ["SN II", None],
            "redshift": [0.0008, None],
            "internalname": ["ZTF23aaklqou, ATLAS23abc", None],
            "discoverydate": [None, None],
        }
    )
    hbase = MemoryHBase()
    for table, rows in (
        ("ztf.tns_resolver", transient_names(objects)),
        ("ztf.sso_resolver", asteroid_names(["8467", "2010JO69", "8467"])),
    ):
        declared = archive_table(SURVEY, table)
        hbase.put(table, pack_given(declared, declared.layout(SURVEY), rows, 1), 1)
    tns, sso = reader(hbase, "ztf.tns_resolver"), reader(hbase, "ztf.sso_resolver")
    assert tns.by_prefix("fullname").column("d:fullname").to_pylist() == ["AT 2018cow", "SN 2023ixf"]
    for typed in ("sn 2023", "SN 2023IXF"):
        assert pa.concat_tables(tns.read("fullname", begins=typed)).column("d:ra").to_pylist() == [1.0]
    assert tns.by_prefix("internalname", "ZTF23aaklqou").column("d:fullname").to_pylist() == ["SN 2023ixf"]
    assert sso.by_prefix("8467").to_pylist() == [{"i:ssnamenr": "8467", "i:name": None, "i:number": 8467}]
    for typed in ("2010 jo69", "2010JO69"):
        assert sso.by_prefix(typed).column("i:ssnamenr").to_pylist() == ["2010JO69"]


def test_nothing_found_has_the_columns_of_the_table(hbase):
    for table in archive_tables(SURVEY):
        empty = reader(MemoryHBase(), table.name).by_prefix()
        assert empty.num_rows == 0
        assert empty.column_names == [served.name for served in table.served]
