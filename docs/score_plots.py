"""Draw the pictures of the pages on microlensing, AGN and superluminous supernovae in ``docs/images/science``.

Usage: ``.venv/bin/python docs/score_plots.py DATA``, DATA being the folder of the shared sample. Left and middle come
from the models' cards, right from every real alert below ``ztf`` and ``enriched_ztf``; numbers are printed too.
"""

from __future__ import annotations

import io
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import matplotlib

matplotlib.use("Agg")
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from fink_lib.config import Settings, load_settings, project_root
from fink_lib.science import Runner
from fink_lib.science.archive_history import with_archive
from fink_lib.science.layout import layout_of
from fink_lib.science.loading import find_modules
from fink_lib.science.models import ModelHandle
from fink_lib.surveys import get_survey

IMAGES = project_root() / "docs" / "images" / "science"
MODULES = ("roid", "gaia", "gcvs", "vsx", "3hsp", "4lac", "is_transient", "microlensing", "agn", "slsn")
DPI = 90
SUPERNOVA, DISRUPTION = "ZTF21abiuvdk", "ZTF20abfcszi"
NEAR_ARCSEC = 3.0
"""A gamma-ray blazar's radio position lies this close to the alert; their error circles are an arcminute."""

Row = dict[str, Any]


def packets(folder: Path) -> Iterator[Row]:
    """Give every real alert once, with what is published of it."""
    seen: set[int] = set()
    for path in sorted([*(folder / "enriched_ztf").rglob("*"), *(folder / "ztf").rglob("*")]):
        for record in _records(path):
            if isinstance(record, dict) and record.get("candidate") and record["candid"] not in seen:
                seen.add(record["candid"])
                yield record


def _records(path: Path) -> Iterator[Any]:
    if path.suffix == ".parquet":
        yield from pq.read_table(path).to_pylist()
    elif path.suffix == ".avro":
        yield from fastavro.reader(io.BytesIO(path.read_bytes()))
    elif path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield from fastavro.reader(io.BytesIO(file.read()))


def show_card(axes: list[Axes], card: Row, task: str) -> None:
    """Draw the ROC curves of all tasks and the calibration of one."""
    for name, metrics in card["metrics"].items():
        if "roc" in metrics:
            points = np.array([[0.0, 0.0], *metrics["roc"], [1.0, 1.0]])
            axes[0].plot(points[:, 0], points[:, 1], label=f"{name}: {metrics['auc']:.3f}")
    axes[0].set(xlabel="false positive rate", ylabel="true positive rate", title="simulated, held out: AUC")
    axes[0].legend(fontsize=5.5, handlelength=1.0, loc="lower right")
    curve = np.array(card["metrics"][task]["calibration"])
    axes[1].plot([0, 1], [0, 1], "k:", lw=1)
    axes[1].plot(curve[:, 0], curve[:, 1], "o-", ms=4)
    axes[1].set(xlabel="score", ylabel="share of true ones", title=f"ECE {card['metrics'][task]['ece']:.3f}")


def show_groups(axes: Axes, groups: dict[str, list[float]]) -> None:
    """Draw one row of points per group."""
    rng = np.random.default_rng(1)
    for place, (name, scores) in enumerate(groups.items()):
        axes.plot(scores, place + rng.uniform(-0.25, 0.25, len(scores)), "o", ms=3, alpha=0.6)
        above = sum(score > 0.5 for score in scores)
        print(f"  {name}: {len(scores)} alerts, median {np.median(scores):.2f}, above 0.5: {above}")
    axes.set_yticks(range(len(groups)), [f"{name} ({len(scores)})" for name, scores in groups.items()], fontsize=7)
    axes.set(xlabel="score", xlim=(-0.03, 1.03), title="real alerts")


def agn_group(row: Row) -> str:
    """Name what catalogues and published labels say of an alert."""
    near = {name: row["xm_sep"].get(name, 99.0) for name in ("3hsp", "4lac")}
    if min(near.values()) < NEAR_ARCSEC:
        return "blazar (3HSP, 4LAC)"
    if row["published"] in ("Galaxy", "SN") or row["objectId"] in (SUPERNOVA, DISRUPTION):
        return "transient"
    starlike = row["gcvs"] or (row["vsx"] and "AGN" not in row["vsx"])
    return "variable star" if starlike or row["published"] not in (None, "Unknown", "Fail") else "no label"


def main(argv: list[str]) -> int:
    """Draw all pictures."""
    records = list(packets(Path(argv[0])))
    survey = get_survey("ztf")
    alerts = pa.Table.from_pylist(records, schema=survey.alert_schema)
    settings: Settings = load_settings(Path(tempfile.mkdtemp()))
    runner = Runner(survey, [one for one in find_modules(survey, settings) if one.declaration.name in MODULES])
    runner.apply(alerts)
    science = runner.apply(alerts)
    longer = with_archive(alerts, alerts, layout_of("ztf"))
    late = runner.apply(longer)
    rows = [
        one
        | {"objectId": record["objectId"], "published": record.get("cdsxmatch"), "xm_sep": dict(one["xm_sep"] or ())}
        for one, record in zip(science.table.to_pylist(), records, strict=True)
    ]
    for name in ("microlensing", "agn", "slsn"):
        result = late if name == "slsn" else science
        judged = result.statuses[name].get("ok", 0)
        spent = 1000 * result.timings[name]
        print(f"{name}: {judged} of {len(rows)} alerts judged, {spent / len(rows):.3f} ms per alert", end=", ")
        print(f"{spent / max(judged, 1):.2f} ms per judged alert")
        card = ModelHandle(name, settings.model_dir).current.card  # type: ignore[union-attr]
        figure, axes = plt.subplots(1, 3, figsize=(10, 3.1), layout="constrained")
        show_card(list(axes[:2]), dict(card), next(iter(card["metrics"])))
        if name == "microlensing":
            groups: dict[str, list[float]] = {}
            for row in rows:
                if row["mulens"] is not None:
                    disruption = row["objectId"] == DISRUPTION
                    groups.setdefault("tidal disruption" if disruption else agn_group(row), []).append(row["mulens"])
            show_groups(axes[2], groups)
        elif name == "agn":
            groups = {}
            for row in rows:
                if row["agn_score"] is not None:
                    groups.setdefault(agn_group(row), []).append(row["agn_score"])
            show_groups(axes[2], dict(sorted(groups.items())))
        else:
            scores = late.table.column("slsn_score").to_pylist()
            for one, label in ((SUPERNOVA, "type Ia supernova"), (DISRUPTION, "tidal disruption")):
                points = [
                    (record["candidate"]["jd"], score)
                    for record, score in zip(records, scores, strict=True)
                    if record["objectId"] == one and score is not None
                ]
                first = min(record["candidate"]["jd"] for record in records if record["objectId"] == one)
                axes[2].plot([jd - first for jd, _ in points], [score for _, score in points], "o", ms=4, label=label)
                print(f"  {label}: {len(points)} alerts, median {np.median([score for _, score in points]):.2f}")
            axes[2].set(
                xlabel="days since the first alert", ylabel="slsn_score", ylim=(-0.03, 1.03), title="real alerts"
            )
            axes[2].legend(fontsize=7)
        figure.savefig(IMAGES / f"{name}.png", dpi=DPI, metadata={"Software": None})
        plt.close(figure)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
