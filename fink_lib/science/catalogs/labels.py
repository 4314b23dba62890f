"""Snapshots made from alerts that already carry labels.

An enriched alert says what a catalogue held beside its position, or that it held nothing. Many of them are a small
piece of that catalogue: sources at the alerts' positions, and a coverage of one match radius around each position that
was looked up. Where the service failed at the time nothing is known, and nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from fink_lib.errors import ConfigError
from fink_lib.science.catalogs.coverage import Cone
from fink_lib.science.catalogs.known import KNOWN
from fink_lib.science.catalogs.reading import POSITION, Column

NOTHING_THERE = (None, "", "nan", "Unknown", "None")
"""Labels of alerts beside which the catalogue held nothing."""

NO_ANSWER = "Fail"
"""How a label starts that stands for a service which did not answer."""


@dataclass(frozen=True)
class Label:
    """How published alerts hold the values of one catalogue.

    Parameters
    ----------
    field : str
        Column that tells whether there was a match.
    columns : mapping of str to str
        Column of the catalogue to column of the alert.
    radius_arcsec : float
        Radius of the match that gave the label; that far around the alert the catalogue is known.
    """

    field: str
    columns: Mapping[str, str]
    radius_arcsec: float


LABELS: Mapping[str, Label] = {
    "simbad": Label("cdsxmatch", {"main_type": "cdsxmatch"}, 1.0),
    "tns": Label("tns", {"type": "tns"}, 1.5),
    "gaia": Label("DR3Name", {"DR3Name": "DR3Name", "Plx": "Plx", "e_Plx": "e_Plx", "VarFlag": "gaiaVarFlag"}, 1.0),
    "gaia_class": Label("gaiaClass", {"class": "gaiaClass"}, 1.0),
    "vsx": Label("vsx", {"type": "vsx"}, 1.5),
    "gcvs": Label("gcvs", {"type": "gcvs"}, 1.5),
    "spicy": Label("spicy_class", {"id": "spicy_id", "class": "spicy_class"}, 1.2),
    "3hsp": Label("x3hsp", {"name": "x3hsp"}, 60.0),
    "4lac": Label("x4lac", {"name": "x4lac"}, 60.0),
}
"""By catalogue."""

DEFAULT = ("simbad", "tns", "gaia", "gaia_class", "vsx", "spicy")
"""Catalogues that no package carries, or whose package knows less than the service that gave the labels."""


@dataclass(frozen=True)
class Labelled:
    """What labelled alerts say of one catalogue.

    Parameters
    ----------
    table : pyarrow.Table
        Sources, at the positions of the alerts that have a label.
    coverage : list of (ra_deg, dec_deg, radius_deg)
        Around every position that was looked up.
    unanswered : int
        Alerts whose label stands for a service that did not answer.
    """

    table: pa.Table
    coverage: list[Cone]
    unanswered: int


def read_alerts(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Read enriched alerts from Avro and Parquet files, and folders of them.

    Returns
    -------
    list of dict
        The label columns that an alert has, and ``ra`` and ``dec``. Alerts without a position are left out.

    Raises
    ------
    ConfigError
        If a path is not there or a file cannot be read.
    """
    fields = {name for label in LABELS.values() for name in (label.field, *label.columns.values())}
    found = []
    for path in paths:
        if not path.exists():
            raise ConfigError(f"there is no file or folder {path}")
        files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.suffix in _READERS)
        for file in files:
            if file.suffix not in _READERS:
                raise ConfigError(f"{file} is neither Avro nor Parquet")
            try:
                for record in _READERS[file.suffix](file, fields):
                    place = record.get("candidate") or record
                    if place.get("ra") is not None and place.get("dec") is not None:
                        labels = {name: record[name] for name in fields & record.keys()}
                        found.append({"ra": place["ra"], "dec": place["dec"], **labels})
            except (OSError, ValueError, EOFError, pa.ArrowInvalid) as error:
                raise ConfigError(f"{file} cannot be read ({error})") from error
    return found


def labelled(name: str, alerts: Sequence[Mapping[str, Any]]) -> Labelled:
    """Give the piece of a catalogue that labelled alerts know.

    Parameters
    ----------
    name : str
        One of :data:`LABELS`.
    alerts : sequence of mappings
        See :func:`read_alerts`; those without the label are left out.

    Raises
    ------
    ConfigError
        If alerts carry no labels of this catalogue at all.
    """
    if name not in LABELS:
        raise ConfigError(f"alerts carry no labels of {name}; they do of: {', '.join(LABELS)}")
    label = LABELS[name]
    asked = [alert for alert in alerts if label.field in alert]
    answered = [alert for alert in asked if not str(alert[label.field]).startswith(NO_ANSWER)]
    if not answered:
        raise ConfigError(f"none of these alerts has a label {label.field!r}; {name} cannot be made from them")
    there = [alert for alert in answered if alert[label.field] not in NOTHING_THERE]
    columns = {**POSITION, **KNOWN[name].columns}
    fields = {"ra": "ra", "dec": "dec", **label.columns}
    table = pa.table(
        {
            column: pa.array([_value(alert.get(fields.get(column, "")), kind) for alert in there], kind.kind)
            for column, kind in columns.items()
        }
    )
    coverage = [(float(alert["ra"]), float(alert["dec"]), label.radius_arcsec / 3600) for alert in answered]
    return Labelled(table, coverage, len(asked) - len(answered))


def _value(given: Any, column: Column) -> Any:
    """Give null for the values that published alerts have in its place."""
    missing = given != given or (pa.types.is_integer(column.kind) and not column.required and given == -1)
    return None if missing else given


def _read_avro(path: Path, fields: set[str]) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for record in fastavro.reader(file):
            if isinstance(record, dict):
                yield record


def _read_parquet(path: Path, fields: set[str]) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        known = set(file.schema_arrow.names)
        wanted = [*sorted(fields & known), *({"ra", "dec"} & known)]
        if "candidate" in known:
            wanted += ["candidate.ra", "candidate.dec"]
        for batch in file.iter_batches(columns=wanted):
            yield from batch.to_pylist()


_READERS = {".avro": _read_avro, ".parquet": _read_parquet}
