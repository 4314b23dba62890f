"""One alert as a figure: light curve and images, as PNG or as a page that needs nothing else."""

from __future__ import annotations

import base64
import gzip
import html
import io
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fink_lib.client.files import write_bytes
from fink_lib.client.names import describe
from fink_lib.errors import ConfigError, DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STAMPS = ("Science", "Template", "Difference")
_GZIP = b"\x1f\x8b"
_LARGEST_STAMP = 8 * 1024 * 1024
_STYLE = "body{font:15px sans-serif;margin:2em auto;max-width:1000px}img{width:100%}td{padding:.1em 1em .1em 0}"


@dataclass(frozen=True)
class LightCurve:
    """Where a survey's alert has its light curve.

    Parameters
    ----------
    own, history : str
        Record of the alert's own measurement; fields with earlier ones.
    time, value, error, band : str
        Fields of a measurement.
    limit : str
        Field of a limit where there is no value; empty if there is none.
    unit : str
        Of the values.
    bands : mapping
        Value of `band` to name and colour.
    """

    own: str
    history: tuple[str, ...]
    time: str
    value: str
    error: str
    band: str
    limit: str
    unit: str
    bands: Mapping[Any, tuple[str, str]]


ZTF = LightCurve(
    "candidate", ("prv_candidates",), "jd", "magpsf", "sigmapsf", "fid", "diffmaglim", "difference magnitude",
    {1: ("g", "tab:green"), 2: ("r", "tab:red"), 3: ("i", "tab:purple")},
)  # fmt: skip
LSST = LightCurve(
    "diaSource", ("prvDiaSources", "prvDiaForcedSources"), "midpointMjdTai", "psfFlux", "psfFluxErr", "band", "",
    "difference flux (nJy)",
    {"u": ("u", "tab:purple"), "g": ("g", "tab:green"), "r": ("r", "tab:red"), "i": ("i", "tab:brown"),
     "z": ("z", "tab:gray"), "y": ("y", "black")},
)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """Measurements of one band; times in days since the alert."""

    name: str
    colour: str
    points: list[tuple[float, float, float]]
    limits: list[tuple[float, float]]


def draw_alert(alert: Mapping[str, Any], path: Path) -> None:
    """Draw an alert.

    Parameters
    ----------
    alert : mapping
        A decoded packet of either survey.
    path : Path
        A ``.png`` or ``.html`` file.

    Raises
    ------
    ConfigError
        If the name ends otherwise.
    """
    if path.suffix not in (".png", ".html"):
        raise ConfigError(f"a figure is a .png or a .html file, not {path.name}; name it so")
    picture = _picture(alert)
    write_bytes(path, picture if path.suffix == ".png" else _page(alert, picture).encode())


def series_of(alert: Mapping[str, Any]) -> list[Series]:
    """Give the light curve in an alert, band by band; empty if it has none."""
    form = LSST if alert.get("diaSource") else ZTF
    own = alert.get(form.own) or {}
    now = own.get(form.time)
    if now is None:
        return []
    entries = [*(one for name in form.history for one in alert.get(name) or ()), own]
    found = []
    for band, (name, colour) in form.bands.items():
        mine = [one for one in entries if one.get(form.band) == band and one.get(form.time) is not None]
        points = [
            (
                one[form.time] - now,
                one[form.value],
                max(one[form.error], 0.0) if _is_number(one.get(form.error)) else 0.0,
            )
            for one in mine
            if _is_number(one.get(form.value))
        ]
        limits = [
            (one[form.time] - now, one[form.limit])
            for one in mine
            if form.limit and not _is_number(one.get(form.value)) and _is_number(one.get(form.limit))
        ]
        if points or limits:
            found.append(Series(name, colour, sorted(points), sorted(limits)))
    return found


def read_stamp(alert: Mapping[str, Any], kind: str) -> npt.NDArray[np.float64] | None:
    """Give an image of an alert as an array, or None if there is none.

    Raises
    ------
    DataError
        If its bytes are no FITS image.
    """
    stamp = alert.get(f"cutout{kind}")
    content = stamp.get("stampData") if isinstance(stamp, dict) else stamp
    if not content:
        return None
    from astropy.io import fits
    from astropy.io.fits.verify import VerifyWarning

    try:
        if content[:2] == _GZIP:
            with gzip.open(io.BytesIO(content)) as unpacked:
                content = unpacked.read(_LARGEST_STAMP)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VerifyWarning)  # a survey's headers need not be to the letter
            with fits.open(io.BytesIO(content)) as file:
                image = np.array(file[0].data, dtype=np.float64)
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise DataError("bad_cutout", f"the {kind.lower()} image is no FITS file: {error}") from error
    if image.ndim != 2:
        raise DataError("bad_cutout", f"the {kind.lower()} image has {image.ndim} dimensions")
    return image


def _picture(alert: Mapping[str, Any]) -> bytes:
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    known = describe(alert)
    figure.suptitle(" · ".join(str(known[name]) for name in ("object", "alert", "time", "label") if known[name]))
    grid = figure.add_gridspec(1, 4, width_ratios=(2.4, 1, 1, 1))
    _draw_light_curve(figure.add_subplot(grid[0, 0]), alert)
    for place, kind in enumerate(STAMPS, start=1):
        _draw_stamp(figure.add_subplot(grid[0, place]), alert, kind)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=100, metadata={"Software": None})
    return sink.getvalue()


def _draw_light_curve(axes: Axes, alert: Mapping[str, Any]) -> None:
    form = LSST if alert.get("diaSource") else ZTF
    for one in series_of(alert):
        if one.points:
            times, values, errors = zip(*one.points, strict=True)
            axes.errorbar(times, values, errors, fmt="o", ms=4, color=one.colour, label=one.name)
        if one.limits:
            times, values = zip(*one.limits, strict=True)
            axes.plot(times, values, "v", ms=4, color=one.colour, alpha=0.3)
    if form.limit:
        axes.invert_yaxis()
    axes.set_xlabel("days since the alert")
    axes.set_ylabel(form.unit)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small", frameon=False)


def _draw_stamp(axes: Axes, alert: Mapping[str, Any], kind: str) -> None:
    axes.set_title(kind.lower(), fontsize="medium")
    axes.set_xticks([])
    axes.set_yticks([])
    said = "no image"
    image = None
    try:
        image = read_stamp(alert, kind)
    except DataError as error:
        said = error.reason
    if image is None or not np.isfinite(image).any():
        axes.text(0.5, 0.5, said, ha="center", va="center", transform=axes.transAxes)
        return
    low, high = np.nanpercentile(np.where(np.isfinite(image), image, np.nan), (1, 99.5))
    axes.imshow(image, origin="lower", cmap="gray", vmin=float(low), vmax=float(high) if high > low else None)


def _page(alert: Mapping[str, Any], picture: bytes) -> str:
    title = html.escape(str(describe(alert)["object"]))
    rows = "".join(f"<tr><td>{html.escape(name)}<td>{html.escape(str(value))}" for name, value in _values(alert))
    image = base64.b64encode(picture).decode()
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f'<h1>{title}</h1><img alt="light curve and images" src="data:image/png;base64,{image}">'
        f"<table>{rows}</table></html>\n"
    )


def _values(alert: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Walk over the plain values of an alert; histories and images are in the figure."""
    for name, value in alert.items():
        if name.startswith("cutout") or isinstance(value, bytes | list) or value is None:
            continue
        if isinstance(value, dict):
            yield from _values(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
