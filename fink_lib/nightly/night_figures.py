"""The figures of a night's report, as SVG to be put into a page: the same numbers give the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from cdshealpix.nested import healpix_to_lonlat, vertices
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from fink_lib.nightly.coverage import ORDER

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

INK, FAINT, GRID = "#1d2733", "#8a97a6", "#dfe5ec"
BANDS = {"g": "#2a9d6f", "r": "#c8452f"}
USUAL = "#b9c4d0"
CLASSES_SHOWN = 12
RASTER_DPI = 160
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def sky_map(coverage: pa.Table) -> str:
    """Draw where the night's science alerts lie: pixels of the whole sky, right ascension growing to the left."""
    with _style("sky"):
        figure = Figure(figsize=(7.6, 3.9), dpi=RASTER_DPI, layout="constrained")
        axes = figure.add_subplot(projection="mollweide")
        axes.grid(color=GRID, linewidth=0.6)
        counts: dict[int, int] = {}
        for row in coverage.to_pylist():
            counts[row["pixel"]] = counts.get(row["pixel"], 0) + row["alerts"]
        if counts:
            pixels = np.array(sorted(counts), np.uint64)
            most = max(counts.values())
            diamonds = PolyCollection(
                _outlines(pixels),
                array=[counts[int(pixel)] for pixel in pixels],
                cmap="viridis_r",
                norm=LogNorm(1, max(most, 2)),
                linewidth=0,
                rasterized=True,  # a whole sky has thousands of pixels, each a polygon of hundreds of points
            )
            axes.add_collection(diamonds)
            bar = figure.colorbar(
                diamonds, ax=axes, shrink=0.6, pad=0.02, label="science alerts per pixel", format="%g"
            )
            bar.outline.set_visible(False)
            if bar.solids is not None:
                bar.solids.set_rasterized(True)
        hours = np.arange(-150, 180, 30)
        axes.set_xticks(np.radians(hours), [f"{int(-hour % 360) // 15} h" for hour in hours], fontsize=7, color=FAINT)
        axes.tick_params(axis="y", labelsize=7, colors=FAINT)
        return _svg(figure)


def magnitude_histograms(places: pa.Table) -> str:
    """Draw how bright the science alerts are, by band."""
    with _style("magnitudes"):
        figure, axes = _plot(4.6, 2.7)
        magnitude = places.column("magnitude").to_numpy(zero_copy_only=False)
        band = np.array(places.column("band").to_pylist(), dtype=object)
        seen = magnitude[np.isfinite(magnitude)]
        edges = np.arange(np.floor(seen.min() * 4) / 4, seen.max() + 0.26, 0.25) if len(seen) else np.arange(12, 22)
        for name, colour in BANDS.items():
            mine = magnitude[(band == name) & np.isfinite(magnitude)]
            if len(mine):
                axes.hist(mine, edges.tolist(), histtype="stepfilled", color=colour, alpha=0.18)
                label = f"{name}: {len(mine)}, median {np.median(mine):.1f}"
                axes.hist(mine, edges.tolist(), histtype="step", color=colour, linewidth=1.3, label=label)
        axes.set_xlabel("difference magnitude")
        axes.set_ylabel("alerts in 0.25 mag")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper left", frameon=False, fontsize=8)
        return _svg(figure)


def class_mix(classes: Mapping[str, int], before: Sequence[Mapping[str, int]]) -> str:
    """Draw the share of the largest classes, beside their median and range in the nights before.

    Parameters
    ----------
    classes : mapping of str to int
        Alerts of each class tonight.
    before : sequence of mapping
        The same for each night before.
    """
    tonight = _shares(classes)
    past = [_shares(one) for one in before]
    middle = {name: _median([one.get(name, 0.0) for one in past]) for name in {n for one in past for n in one}}
    largest = sorted({*tonight, *middle}, key=lambda name: (-max(tonight.get(name, 0), middle.get(name, 0)), name))
    shown = [name for name in largest if tonight.get(name, 0) or middle.get(name, 0)][:CLASSES_SHOWN][::-1]
    with _style("classes"):
        figure, axes = _plot(4.6, max(1.6, 0.25 * len(shown) + 0.8))
        rows = np.arange(len(shown))
        if past and shown:
            low = [100 * min(one.get(name, 0.0) for one in past) for name in shown]
            high = [100 * max(one.get(name, 0.0) for one in past) for name in shown]
            label = f"range of {len(past)} nights before" if len(past) > 1 else "the night before"
            width = np.maximum(np.array(high) - np.array(low), 0.3)
            axes.barh(rows, width, left=low, height=0.82, color=USUAL, label=label)
        axes.barh(rows, [100 * tonight.get(name, 0) for name in shown], height=0.42, color="#2f6fa8", label="tonight")
        axes.set_yticks(rows, [name[:28] for name in shown])
        axes.set_xlabel("% of the science alerts")
        axes.grid(axis="y", visible=False)
        if past or shown:
            axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, fontsize=8)
        return _svg(figure)


def latency_ladder(latency: Mapping[str, float]) -> str:
    """Draw how long alerts took from Kafka into each stage: median, 95 and 99 in 100."""
    steps = [("received_s", "in raw"), ("science_s", "in science"), ("sent_s", "in a user's topic")]
    shown = [(label, [latency[f"{key}.{part}"] for part in ("p50", "p95", "p99")])
             for key, label in steps if f"{key}.p50" in latency][::-1]  # fmt: skip
    with _style("latency"):
        figure, axes = _plot(4.6, 1.9)
        for place, (_, times) in enumerate(shown):
            p50, p95, p99 = (max(time, 0.01) for time in times)
            axes.plot([p50, p99], [place, place], color=USUAL, linewidth=5, solid_capstyle="round", zorder=1)
            for time, marker, colour in ((p50, "o", "#2f6fa8"), (p95, "D", INK), (p99, "|", INK)):
                axes.scatter([time], [place], marker=marker, color=colour, s=34, zorder=2)
            axes.annotate(
                f"{times[1]:.3g} s", (p95, place), (0, 8), textcoords="offset points", ha="center", fontsize=8
            )
        axes.set_yticks(range(len(shown)), [label for label, _ in shown])
        axes.set_ylim(-0.6, max(len(shown), 1) - 0.3)
        axes.set_xscale("log")
        known = [max(time, 0.01) for _, times in shown for time in times] or [1.0]
        axes.set_xlim(min(known) / 2, max(known) * 2)
        axes.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("seconds after Kafka: ● median, ◆ 95 %, | 99 %")
        axes.grid(axis="y", visible=False)
        return _svg(figure)


def _style(salt: str) -> AbstractContextManager[None]:
    """Set the look of a figure; names of its parts depend on `salt`, so that figures in one page keep apart."""
    chosen: Any = {**_STYLE, "svg.hashsalt": salt}
    return mpl.rc_context(chosen)


def _outlines(pixels: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Give the corners of pixels on the map, in its units; the sky is seen from inside."""
    centre, _ = healpix_to_lonlat(pixels, ORDER)
    lon, lat = vertices(pixels, ORDER)
    # Corners are kept beside their pixel's centre, so that one at the edge of the map does not go around the sky.
    east = (lon.deg - centre.deg[:, None] + 180.0) % 360.0 - 180.0
    x = np.clip(-((centre.deg[:, None] + 180.0) % 360.0 - 180.0) - east, -180.0, 180.0)
    return list(np.radians(np.stack([x, lat.deg], axis=2)))


def _plot(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _shares(classes: Mapping[str, int]) -> dict[str, float]:
    named = {name: number for name, number in classes.items() if not name.startswith("simbad_")}
    total = sum(named.values())
    return {name: number / total for name, number in named.items()} if total else {}


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else 0.0


def _svg(figure: Figure) -> str:
    """Give a figure as an element of a page: without the head of a file, without a date."""
    FigureCanvasSVG(figure)
    sink = io.StringIO()
    figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = sink.getvalue()
    text = text[text.index("<svg") :]
    return (
        re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r"<svg \1", text, count=1) if "viewBox" in text else text
    )
