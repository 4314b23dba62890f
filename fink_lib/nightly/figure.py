"""The figure of a night: where on the sky, how bright, of which classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from fink_lib.lake import Lake

BANDS = {1: ("g", "tab:green"), 2: ("r", "tab:red"), 3: ("i", "tab:purple")}
CLASSES_SHOWN = 12
POINTS_SHOWN = 50_000


def draw_summary(lake: Lake, night: str, tables: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw the night into a PNG file.

    Parameters
    ----------
    lake : Lake
        Gives positions and magnitudes.
    night : str
        ``YYYYMMDD``.
    tables : dict
        The night's summary tables.
    path : Path
        The file.
    """
    names = ("ra", "dec", "magpsf", "fid")
    alerts = lake.dataset("science", [night]).to_table(columns={name: pc.field("candidate", name) for name in names})
    ra, dec, magnitude, band = (alerts.column(name).to_numpy() for name in names)
    figure = Figure(figsize=(12, 7), layout="constrained")
    FigureCanvasAgg(figure)
    basic = tables["basic"]
    figure.suptitle(f"{lake.survey.name.upper()} night {night}: {basic['sci']} of {basic['raw']} alerts are science")
    grid = figure.add_gridspec(2, 2, width_ratios=(3, 2))

    sky = figure.add_subplot(grid[0, :], projection="mollweide")
    step = max(1, len(ra) // POINTS_SHOWN)
    longitude = np.radians((ra[::step] + 180) % 360 - 180)
    sky.scatter(longitude, np.radians(dec[::step]), s=2, alpha=0.4, color="tab:blue", rasterized=True)
    sky.grid(alpha=0.3)
    sky.set_title("right ascension, declination", fontsize="small")

    histogram = figure.add_subplot(grid[1, 0])
    seen = magnitude[np.isfinite(magnitude)]
    edges = np.linspace(seen.min(), seen.max() + 0.01, 40) if len(seen) else np.linspace(12, 22, 40)
    for fid, (name, colour) in BANDS.items():
        mine = magnitude[(band == fid) & np.isfinite(magnitude)]
        if len(mine):
            histogram.hist(mine, edges.tolist(), histtype="step", color=colour, label=f"{name} ({len(mine)})")
    histogram.set_xlabel("difference magnitude")
    histogram.set_ylabel("alerts")
    if histogram.get_legend_handles_labels()[0]:
        histogram.legend()

    bars = figure.add_subplot(grid[1, 1])
    classes = [(n, name) for name, n in tables["class"].items() if n and not name.startswith("simbad_")]
    largest = sorted(classes)[-CLASSES_SHOWN:]
    bars.barh([name[:30] for _, name in largest], [number for number, _ in largest], color="tab:blue")
    bars.set_xlabel("alerts")
    bars.tick_params(axis="y", labelsize="small")
    # Without the writer's name and time the same night gives the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
