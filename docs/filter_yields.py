"""Fill a lake with the science of real alerts, and write into ``docs/filters.md`` which filters take how many of them.

``FINK_HOME=… python docs/filter_yields.py FOLDER…``: Avro and Parquet files of ZTF alerts, as the survey or as Fink
wrote them. The installation's catalogues are used; `fink catalogs build --from-labels FOLDER` makes some. Without a
folder the alerts that are in the lake already are counted.
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fink_lib.config import load_settings, project_root
from fink_lib.filters import KINDS, Filter, FilterSet, load_filters
from fink_lib.filters.night import select_night
from fink_lib.lake import Lake, open_lake
from fink_lib.science import Runner, build_runner
from fink_lib.surveys import get_survey

SURVEY = "ztf"
BATCH = 500
PAGE = project_root() / "docs" / "filters.md"


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """Give every alert below a folder that has a measurement."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        if path.suffix == ".avro":
            found = list(fastavro.reader(io.BytesIO(path.read_bytes())))
        elif path.suffix == ".parquet":
            found = pq.read_table(path).to_pylist()
        elif path.name.endswith(".tar.gz"):
            found = []
            with tarfile.open(path) as archive:
                for member in archive:
                    file = archive.extractfile(member)
                    if file is not None and member.name.endswith(".avro"):
                        found += list(fastavro.reader(io.BytesIO(file.read())))
        else:
            continue
        yield from (one for one in found if isinstance(one, dict) and one.get("candidate"))


def stamps_of(alerts: list[dict[str, Any]]) -> pa.Table:
    """Give the images of alerts."""
    kinds = {"science": "cutoutScience", "template": "cutoutTemplate", "difference": "cutoutDifference"}
    rows = [
        {"alert_id": one["candid"], **{name: (one.get(field) or {}).get("stampData") for name, field in kinds.items()}}
        for one in alerts
    ]
    schema = pa.schema([("alert_id", pa.int64()), *((name, pa.binary()) for name in kinds)])
    return pa.Table.from_pylist(rows, schema=schema)


def main(folders: list[str]) -> None:
    """Fill the lake with what passes the quality cuts, and write the tables."""
    settings = load_settings()
    survey = get_survey(SURVEY, settings)
    lake = open_lake(settings, SURVEY)
    lake.ensure()
    runner = build_runner(survey, settings)
    unique = {one["candid"]: one for folder in folders for one in records(Path(folder))}
    alerts = [one for one in unique.values() if passes(one["candidate"])]
    filters = load_filters(survey, KINDS, home=settings.home)
    for start in range(0, len(alerts), BATCH):
        fill(lake, runner, alerts[start : start + BATCH], f"{start:06d}")
    nights = lake.nights("science")
    whole = lake.read("science")
    verdicts = filters.evaluate(whole)
    taken = {name: sum(verdicts.column(name).to_pylist()) for name in filters.names}
    chosen = Counter(
        {
            name: sum(len(select_night(lake, night, of_night(filters))[name]) for night in nights)
            for name in of_night(filters).names
        }
    )
    print(f"{whole.num_rows} alerts of {len(nights)} nights")
    text = PAGE.read_text()
    text = between(text, "live", [f for f in filters.filters if "live" in f.kinds], taken)
    PAGE.write_text(between(text, "night", list(of_night(filters).filters), chosen))


def fill(lake: Lake, runner: Runner, alerts: list[dict[str, Any]], name: str) -> None:
    """Enrich alerts and write them and their images into the lake, as a batch of that name, once."""
    survey = lake.survey
    rows = pa.Table.from_pylist(alerts, schema=survey.alert_schema)
    images = stamps_of(alerts)
    places = {one["candid"]: place for place, one in enumerate(alerts)}

    def read(ids: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Table:
        return images.take([places[int(i)] for i in ids])

    science = runner.apply(rows, read).table
    batch = f"yields-{name}"
    nights = survey.nights(rows)
    columns = {name: rows.column(name) for name in rows.column_names}
    columns |= {name: science.column(name) for name in science.column_names}
    columns["ingest"] = pa.array([{"batch": batch}] * len(alerts), lake.schema("science").field("ingest").type)
    columns["night"] = nights
    lake.append("science", pa.table(columns), batch, 0)
    stamps = images.append_column("batch", pa.array([batch] * len(alerts))).append_column("night", nights)
    lake.append("cutouts", stamps, batch, 0)


def of_night(filters: FilterSet) -> FilterSet:
    """Give the filters of the night."""
    return FilterSet(tuple(f for f in filters.filters if "night" in f.kinds))


def between(text: str, kind: str, filters: list[Filter], taken: Mapping[str, int]) -> str:
    """Put a table between the marks of a page."""
    rows = [f"| `{f.name}` | {criteria(f)} | {taken[f.name]} |" for f in filters]
    table = "\n".join(["| filter | criteria | taken |", "|---|---|---|", *rows])
    before, _, rest = text.partition(f"<!-- {kind} -->")
    _, _, after = rest.partition(f"<!-- {kind} end -->")
    return f"{before}<!-- {kind} -->\n\n{table}\n\n<!-- {kind} end -->{after}"


def criteria(f: Filter) -> str:
    """Give the condition of a filter in one line, and what it takes of those that fulfil it."""
    condition = " ".join(line.strip() for line in f.text.splitlines() if not line.startswith("--"))
    more = [f"{key} {f.header[key]}" for key in ("order", "limit", "per") if key in f.header]
    return f"`{condition}`" + (f"; {', '.join(more)}" if more else "")


def passes(candidate: dict[str, Any]) -> bool:
    """Tell whether an alert passes the quality cuts of the survey."""
    return candidate["nbad"] == 0 and (candidate["rb"] or 0) >= 0.55 and candidate["fid"] != 3


if __name__ == "__main__":
    main(sys.argv[1:])
