"""Real alerts with the values that the Fink broker published, as tables of the broker's own columns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from fink_lib.config import project_root
from fink_lib.surveys import get_survey

SHARED_DATA = Path(os.environ.get("FINK_SHARED_DATA") or project_root().parent / "shared" / "data")
ENRICHED = SHARED_DATA / "enriched_ztf"

PUBLISHED_LISTS = {
    "magnetic_cv": "magnetic_cataclysmic_variables.csv",
    "symbiotic_cv": "symbiotic_and_cataclysmic.parquet",
    "known_tde": "known_tde_148.parquet",
    "dwarf_agn": "list_dwarfs_AGN_RADEC.parquet",
}
"""Lists of special objects, and their files in the shared data."""

UNAVAILABLE_LABELS = ("Fail", "Fail 500", "Fail 503")
"""How the reference data spell that SIMBAD did not answer."""


def enriched_files() -> list[Path]:
    """Give the files of enriched alerts; none where the shared data are not installed."""
    return sorted(path for path in ENRICHED.rglob("*") if path.suffix in (".avro", ".parquet"))


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read a file of enriched alerts."""
    if path.suffix == ".avro":
        with path.open("rb") as file:
            return [record for record in fastavro.reader(file) if isinstance(record, dict)]
    return pq.read_table(path).to_pylist()


def alerts_of(records: list[dict[str, Any]]) -> pa.Table:
    """Give records as the survey's alert table."""
    return pa.Table.from_pylist(records, schema=get_survey("ztf").alert_schema)


def records_with(column: str) -> list[dict[str, Any]]:
    """Give every enriched alert that carries a published column and a light curve."""
    found = []
    for path in enriched_files():
        found += [one for one in read_records(path) if one.get(column) is not None and one.get("candidate")]
    return found
