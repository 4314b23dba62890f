"""Each field that the API serves equals the field in the packet, in every format."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import fastavro
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import votable
from numpy import ma

from fink_lib.config import project_root
from fink_lib.lake import open_lake
from tests.unit.api.conftest import serving, write_settings

SHARED = Path(os.environ.get("FINK_SHARED_DATA") or project_root().parent / "shared" / "data")
LIGHT_CURVE = SHARED / "ztf" / "v3.3" / "ZTF21abiuvdk_lightcurve_34alerts.tar.gz"
OLD_VERSION = SHARED / "ztf" / "v1.8" / "ztf_public_20180626_sub.tar.gz"
OBJECT = "ZTF21abiuvdk"

pytestmark = pytest.mark.skipif(not LIGHT_CURVE.exists(), reason="the shared alert samples are not installed")


def packets(archive: Path) -> list[bytes]:
    """Read the packets of an archive."""
    with tarfile.open(archive) as files:
        members = [files.extractfile(member) for member in files.getmembers() if member.name.endswith(".avro")]
        return [member.read() for member in members if member]


def decoded(packet: bytes) -> dict[str, object]:
    """Read a packet with a reader that is not the broker's."""
    return next(iter(fastavro.reader(io.BytesIO(packet))))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = write_settings(tmp_path_factory.mktemp("real"))
    lake = open_lake(settings, "ztf")
    lake.ensure()
    for archive in (LIGHT_CURVE, OLD_VERSION):
        alerts = lake.survey.decode(packets(archive)).alerts
        nights = pa.chunked_array([lake.survey.nights(alerts)])
        lake.append("science", alerts.append_column("night", nights))
    with serving(settings) as client:
        yield client


def compare(record, row):
    """Compare the fields of a packet with a row of the answer; count them."""
    fields = {**record["candidate"], **{name: record.get(name) for name in ("objectId", "candid", "schemavsn")}}
    for name, value in fields.items():
        served = row[f"i:{name}"]
        missing = served is None or served != served or (value == "" and served == "")
        assert missing if value in (None, "") else served == value, (name, value, served)
    return len(fields)


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "votable"])
def test_every_field_of_every_packet_comes_back(client, form):
    answer = client.get("/api/v1/objects", params={"objectId": OBJECT, "output-format": form})
    if form == "json":
        rows = answer.json()
    elif form == "csv":
        # pandas takes ZTF's word "null" for a missing value, and rounds floats, unless told not to
        frame = pd.read_csv(
            io.BytesIO(answer.content),
            float_precision="round_trip",
            keep_default_na=False,
            na_values=[""],
            dtype={"i:schemavsn": str},
        )
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    elif form == "parquet":
        rows = pq.read_table(io.BytesIO(answer.content)).to_pylist()
    else:
        table = votable.parse_single_table(io.BytesIO(answer.content)).to_table(use_names_over_ids=True)
        rows = [{name: None if row[name] is ma.masked else row[name] for name in table.colnames} for row in table]
    by_id = {row["i:candid"]: row for row in rows}
    records = [decoded(packet) for packet in packets(LIGHT_CURVE)]
    assert len(by_id) == len(rows) == len(records) == 34
    assert sum(compare(record, by_id[record["candid"]]) for record in records) > 34 * 100


def test_an_old_version_of_the_packet_comes_back_too(client):
    for packet in packets(OLD_VERSION)[:5]:
        record = decoded(packet)
        rows = client.get("/api/v1/objects", params={"objectId": record["objectId"]}).json()
        compare(record, {row["i:candid"]: row for row in rows}[record["candid"]])


def test_computed_columns_follow_from_the_packet(client):
    rows = client.get("/api/v1/objects", params={"objectId": OBJECT}).json()
    for row in rows:
        assert row["v:lapse"] == row["i:jd"] - row["i:jdstarthist"]
        assert row["v:lastdate"].startswith("2021-0")
        assert row["v:constellation"] == "Pegasus"
