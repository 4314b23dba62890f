"""Names of transients and asteroids: read from what the project has, one row for each way to write them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from fink_lib.nightly.resolvers import asteroid_names, read_transients, transient_names


def test_a_published_list_and_a_snapshot_give_the_same_objects(tmp_path):
    rows = {"ra": [150.0], "type": ["SN II"], "redshift": [0.043], "discoverydate": ["2022-01-27"]}
    published = {
        "declination": [3.7],
        "name_prefix": ["SN"],
        "name": ["2022and"],
        "internal_names": ["PS22agq, ZTF22aaa"],
    }
    snapshot = {"dec": [3.7], "name": ["SN 2022and"], "internalname": ["PS22agq, ZTF22aaa"]}
    found = []
    for number, columns in enumerate((rows | published, rows | snapshot)):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table(columns), path)
        found.append(transient_names(read_transients(path)).to_pylist())
    assert found[0] == found[1]
    assert [(row["by"], row["sought"], row["d:fullname"]) for row in found[0]] == [
        ("fullname", "SN 2022and", "SN 2022and"),
        ("internalname", "PS22agq", "SN 2022and"),
        ("internalname", "ZTF22aaa", "SN 2022and"),
    ]


def test_objects_without_a_name_or_without_columns_are_left_out_or_null(tmp_path):
    path = tmp_path / "tns.parquet"
    pq.write_table(pa.table({"ra": [1.0, 2.0], "dec": [1.0, 2.0], "name": [None, "AT 2018cow"]}), path)
    (row,) = transient_names(read_transients(path)).to_pylist()
    assert row["d:fullname"] == "AT 2018cow" and row["d:type"] is None and row["d:internalname"] is None


def test_an_asteroid_is_found_by_its_number_or_by_its_designation_with_and_without_blank():
    rows = asteroid_names(["2010JO69", "8467", "8467", "C/2020F3"]).to_pylist()
    assert [(row["sought"], row["i:ssnamenr"], row["i:name"], row["i:number"]) for row in rows] == [
        ("2010 JO69", "2010JO69", "2010 JO69", None),
        ("2010JO69", "2010JO69", "2010 JO69", None),
        ("8467", "8467", None, 8467),
        ("C/2020F3", "C/2020F3", "C/2020F3", None),
    ]
    assert asteroid_names([]).num_rows == 0
