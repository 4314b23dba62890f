"""A backtest as one HTML file that needs nothing else: tables, yield per night, light curves and images of samples."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fink_lib.errors import DataError
from fink_lib.lake.lookup import find_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fink_lib.filters.backtest import Backtest, Sample
    from fink_lib.filters.files import Filter
    from fink_lib.lake import Lake

ReadImage = Callable[[bytes], npt.NDArray[np.float64]]
IMAGES = ("science", "template", "difference")
TEMPLATE = Path(__file__).parent / "report.html"


@dataclass(frozen=True)
class LightCurve:
    """Which fields of an alert are its light curve; times in days, values in magnitudes."""

    history: str
    own: str
    time: str
    value: str
    error: str
    band: str
    limit: str
    bands: dict[Any, tuple[str, str]]


LIGHT_CURVES = {
    "ztf": LightCurve(
        "prv_candidates",
        "candidate",
        "jd",
        "magpsf",
        "sigmapsf",
        "fid",
        "diffmaglim",
        {1: ("g", "tab:green"), 2: ("r", "tab:red"), 3: ("i", "tab:purple")},
    )
}
"""By survey; one that is not here gets images only."""


def write_report(path: Path, told: Backtest, chosen: Filter, lake: Lake, read_image: ReadImage) -> None:
    """Write the report of a backtest.

    Parameters
    ----------
    path : Path
        The HTML file.
    told : Backtest
        What was found.
    chosen : Filter
        The filter that it is about.
    lake : Lake
        Gives light curves and images of the samples.
    read_image : callable
        Reads the bytes of a stamp.
    """
    samples = [
        {
            "alert_id": sample.alert_id,
            "object_id": sample.object_id,
            "night": sample.night,
            "picture": _png(_draw_sample(lake, sample, read_image)),
        }
        for sample in told.samples
    ]
    predicate = "\n".join(line for line in chosen.text.splitlines() if not line.startswith("--"))
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(TEMPLATE.read_text(encoding="utf-8"))
    text = page.render(
        told=told,
        title=chosen.header["title"],
        description=chosen.header["description"],
        budget=chosen.budget,
        predicate=predicate.strip(),
        overlap=[(name, number) for name, number in sorted(told.overlap.items(), key=lambda p: -p[1]) if number],
        yields=_png(_draw_yields(told)),
        samples=samples,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _draw_yields(told: Backtest) -> Figure:
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.bar([one.night for one in told.nights], [one.taken for one in told.nights], color="tab:blue")
    axes.set_ylabel("alerts")
    axes.tick_params(axis="x", labelrotation=90 if len(told.nights) > 8 else 0, labelsize="small")
    return figure


def _draw_sample(lake: Lake, sample: Sample, read_image: ReadImage) -> Figure:
    """Draw light curve and images of one alert."""
    figure = Figure(figsize=(10, 2.4), layout="constrained")
    grid = figure.add_gridspec(1, 4, width_ratios=(3, 1, 1, 1))
    axes = figure.add_subplot(grid[0, 0])
    form = LIGHT_CURVES.get(lake.survey.name)
    if form is None:
        axes.set_axis_off()
    else:
        key = lake.survey.id_field
        rows = find_rows(lake, "science", key, sample.alert_id, [key, form.history, form.own]).to_pylist()
        _draw_light_curve(axes, rows[0] if rows else {}, form)
    stamps = find_rows(lake, "cutouts", "alert_id", sample.alert_id, ["alert_id", *IMAGES]).to_pylist()
    for place, kind in enumerate(IMAGES, start=1):
        _draw_image(figure.add_subplot(grid[0, place]), kind, stamps[0][kind] if stamps else None, read_image)
    return figure


def _draw_light_curve(axes: Axes, row: dict[str, Any], form: LightCurve) -> None:
    own = row.get(form.own) or {}
    entries = [*(row.get(form.history) or ()), own]
    now = own.get(form.time)
    if now is None:
        axes.set_axis_off()
        return
    for band, (name, colour) in form.bands.items():
        mine = [one for one in entries if one.get(form.band) == band and one.get(form.time) is not None]
        seen = [one for one in mine if one.get(form.value) is not None]
        limits = [one for one in mine if one.get(form.value) is None and one.get(form.limit) is not None]
        if seen:
            times = [one[form.time] - now for one in seen]
            errors = [one.get(form.error) or 0.0 for one in seen]
            values = [one[form.value] for one in seen]
            axes.errorbar(times, values, errors, fmt="o", ms=4, color=colour, label=name)
        if limits:
            times = [one[form.time] - now for one in limits]
            axes.plot(times, [one[form.limit] for one in limits], "v", ms=4, color=colour, alpha=0.3)
    axes.invert_yaxis()
    axes.set_xlabel("days before the alert", fontsize="small")
    axes.set_ylabel("magnitude", fontsize="small")
    axes.tick_params(labelsize="small")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="x-small", frameon=False)


def _draw_image(axes: Axes, kind: str, stamp: bytes | None, read_image: ReadImage) -> None:
    axes.set_title(kind, fontsize="small")
    axes.set_xticks([])
    axes.set_yticks([])
    image = None
    if stamp:
        try:
            image = read_image(stamp)
        except DataError as error:
            axes.text(0.5, 0.5, error.reason, ha="center", va="center", fontsize="x-small", transform=axes.transAxes)
    if image is not None and np.isfinite(image).any():
        low, high = np.nanpercentile(image, (1, 99.5))
        axes.imshow(image, origin="lower", cmap="gray", vmin=float(low), vmax=float(high) if high > low else None)


def _png(figure: Figure) -> str:
    FigureCanvasAgg(figure)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=80)
    return base64.b64encode(sink.getvalue()).decode()
