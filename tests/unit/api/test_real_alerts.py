"""Each field that the API serves equals the field in the packet: every alert of the samples, every format."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import fastavro
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits, votable

from fink_lib.config import project_root
from fink_lib.lake import open_lake
from tests.unit.api.conftest import serving, write_settings

SHARED = Path(os.environ.get("FINK_SHARED_DATA") or project_root().parent / "shared" / "data")
LIGHT_CURVE = SHARED / "ztf" / "v3.3" / "ZTF21abiuvdk_lightcurve_34alerts.tar.gz"
OBJECT = "ZTF21abiuvdk"
FORMATS = ("json", "csv", "parquet", "votable", "arrow")
MOST_OBJECTS = 200

pytestmark = pytest.mark.skipif(not LIGHT_CURVE.exists(), reason="the shared alert samples are not installed")


def sample_packets() -> Iterator[bytes]:
    """Read every packet of ZTF samples."""
    for path in sorted((SHARED / "ztf").rglob("*")):
        if path.suffix == ".avro":
            yield path.read_bytes()
        elif path.name.endswith(".tar.gz"):
            with tarfile.open(path) as files:
                for member in files.getmembers():
                    if member.name.endswith(".avro") and (file := files.extractfile(member)):
                        yield file.read()


def decoded(packet: bytes) -> dict[str, object]:
    """Read a packet with a reader that is not the broker's."""
    return next(iter(fastavro.reader(io.BytesIO(packet))))  # type: ignore[return-value]


def pixels_of(file: bytes) -> np.ndarray:
    """Read an image with a reader that is not the broker's; it frowns upon the headers of some."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(io.BytesIO(file)) as units:
            return units[0].data.astype(float)


@pytest.fixture(scope="module")
def packets() -> dict[int, bytes]:
    """Give the packets by id; the samples hold some alerts twice."""
    return {decoded(packet)["candid"]: packet for packet in sample_packets()}  # type: ignore[misc]


@pytest.fixture(scope="module")
def records(packets: dict[int, bytes]) -> dict[int, dict[str, object]]:
    return {candid: decoded(packet) for candid, packet in packets.items()}


@pytest.fixture(scope="module")
def client(tmp_path_factory, packets):
    settings = write_settings(tmp_path_factory.mktemp("real"))
    lake = open_lake(settings, "ztf")
    lake.ensure()
    found = lake.survey.decode(list(packets.values()))
    assert not found.bad
    nights = lake.survey.nights(found.alerts)
    lake.append("science", found.alerts.append_column("night", pa.chunked_array([nights])))
    of_id = dict(zip(found.alerts.column("candid").to_pylist(), nights.to_pylist(), strict=True))
    images = found.cutouts.append_column("batch", pa.array(["b"] * found.cutouts.num_rows))
    own = [of_id[one] for one in images.column("alert_id").to_pylist()]
    lake.append("cutouts", images.append_column("night", pa.array(own)))
    with serving(settings) as client:
        yield client


def rows_of(answer, form):
    """Read an answer as people do."""
    if form == "json":
        return answer.json()
    if form == "csv":
        # pandas takes ZTF's word "null" for a missing value, and rounds floats, unless told not to
        frame = pd.read_csv(
            io.BytesIO(answer.content),
            float_precision="round_trip",
            keep_default_na=False,
            na_values=[""],
            dtype={"i:schemavsn": str, "i:ssnamenr": str, "i:pdiffimfilename": str, "i:programpi": str,
                   "i:isdiffpos": str, "i:rbversion": str, "i:drbversion": str},
            low_memory=False,
        )  # fmt: skip
        return frame.astype(object).where(frame.notna(), None).to_dict("records")
    if form == "parquet":
        return pq.read_table(io.BytesIO(answer.content)).to_pylist()
    if form == "arrow":
        return pa.ipc.open_stream(answer.content).read_all().to_pylist()
    table = votable.parse_single_table(io.BytesIO(answer.content)).to_table(use_names_over_ids=True)
    columns = [table[name].tolist() for name in table.colnames]
    return [dict(zip(table.colnames, row, strict=True)) for row in zip(*columns, strict=True)]


def compare(record, row):
    """Compare the fields of a packet with a row of the answer; count them."""
    fields = {**record["candidate"], **{name: record.get(name) for name in ("objectId", "candid", "schemavsn")}}
    for name, value in fields.items():
        served = row[f"i:{name}"]
        if value in (None, "") or value != value:
            assert served is None or served != served or served == "", (name, value, served)
        else:
            assert served == value, (record["candid"], name, value, served)
    return len(fields)


@pytest.mark.parametrize("form", FORMATS)
def test_every_field_of_every_packet_comes_back(client, records, form):
    one = client.get("/api/v1/objects", params={"objectId": OBJECT, "limit": 1})
    names = sorted({str(record["objectId"]) for record in records.values()})
    # everything in one format; in the others the fields of the packet, which take half the time
    columns = "*" if form == "json" else ",".join(name for name in one.json()[0] if name.startswith("i:"))
    seen, fields = set(), 0
    for start in range(0, len(names), MOST_OBJECTS):
        some = ",".join(names[start : start + MOST_OBJECTS])
        asked = {"objectId": some, "output-format": form, "columns": columns}
        answer = client.post("/api/v1/objects", json=asked)
        assert answer.status_code == 200
        assert "Fink-Truncated" not in answer.headers
        for row in rows_of(answer, form):
            assert row["i:candid"] not in seen, "an alert came twice"
            seen.add(row["i:candid"])
            fields += compare(records[row["i:candid"]], row)
    assert seen == set(records)
    assert fields > 100 * len(records) > 100_000


def near(one, other):
    ra, dec = (abs(one["candidate"][name] - other["candidate"][name]) for name in ("ra", "dec"))
    return max(ra, dec) < 3 / 3600


def test_cones_serve_the_fields_of_the_packet_too(client, records):
    for record in list(records.values())[::40]:
        place = record["candidate"]
        rows = client.get("/api/v1/conesearch", params={"ra": place["ra"], "dec": place["dec"], "radius": 5}).json()
        for row in rows:
            packet = records[row["i:candid"]]
            for name in ("objectId", "candid"):
                assert row[f"i:{name}"] == packet[name]
            for name in ("jd", "ra", "dec", "magpsf", "sigmapsf", "fid", "distnr", "drb", "jdstarthist"):
                assert row[f"i:{name}"] == packet["candidate"].get(name), name
        # a few names of the samples were given to several places
        here = [one for one in records.values() if one["objectId"] == record["objectId"] and near(one, record)]
        newest = max(here, key=lambda one: one["candidate"]["jd"])
        assert newest["candid"] in {row["i:candid"] for row in rows}


def test_images_are_those_of_the_packet(client, records):
    with_images = [record for record in records.values() if record.get("cutoutScience")]
    assert len(with_images) > 1000
    for record in with_images[::60]:
        arguments = {"objectId": record["objectId"], "candid": record["candid"]}
        for kind in ("Science", "Template", "Difference"):
            file = gzip.decompress(record[f"cutout{kind}"]["stampData"])
            asked = {**arguments, "kind": kind}
            answer = client.get("/api/v1/cutouts", params={**asked, "output-format": "FITS"})
            assert answer.content == file
            pixels = client.get("/api/v1/cutouts", params={**asked, "output-format": "array"}).json()
            expected = pixels_of(file)
            found = np.array(pixels[f"b:cutout{kind}_stampData"], dtype=float)
            assert np.array_equal(found, np.where(np.isfinite(expected), expected, np.nan), equal_nan=True)


def test_objects_come_with_the_images_of_their_packets(client, records):
    arguments = {"objectId": OBJECT, "withcutouts": "True", "output-format": "parquet", "columns": "i:candid"}
    answer = client.get("/api/v1/objects", params=arguments)
    rows = pq.read_table(io.BytesIO(answer.content)).to_pylist()
    assert len(rows) == 34
    for row in rows:
        for kind in ("Science", "Template", "Difference"):
            expected = pixels_of(gzip.decompress(records[row["i:candid"]][f"cutout{kind}"]["stampData"]))
            found = np.array(row[f"b:cutout{kind}_stampData"], dtype=float)
            assert np.array_equal(found, np.where(np.isfinite(expected), expected, np.nan), equal_nan=True)


def test_computed_columns_follow_from_the_packet(client):
    rows = client.get("/api/v1/objects", params={"objectId": OBJECT}).json()
    for row in rows:
        assert row["v:lapse"] == row["i:jd"] - row["i:jdstarthist"]
        assert row["v:lastdate"].startswith("2021-0")
        assert row["v:constellation"] == "Pegasus"


def test_upper_limits_are_those_of_the_histories(client, records):
    rows = client.get("/api/v1/objects", params={"objectId": OBJECT, "withupperlim": "True"}).json()
    mine = [record for record in records.values() if record["objectId"] == OBJECT]
    alerts = {(record["candidate"]["jd"], record["candidate"]["fid"]) for record in mine}
    limits = set()
    for record in mine:
        history = record["prv_candidates"] or []
        if history and history[-1]["magpsf"] is None:
            limits |= {(one["jd"], one["fid"]) for one in history if one["magpsf"] is None}
    found = [(row["i:jd"], row["i:fid"]) for row in rows if row["d:tag"] == "upperlim"]
    assert set(found) == limits - alerts
    assert len(found) == len(set(found)) > 10
