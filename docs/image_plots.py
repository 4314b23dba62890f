"""Draw the pictures of the pages on stamps, tracklets and triggers in ``docs/images/science`` from real alerts.

Usage: ``.venv/bin/python docs/image_plots.py DATA``, DATA being a folder with ``ztf/v4.02_spark``, ``enriched_ztf`` and
``gcn`` of the shared sample.
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import fastavro
import numpy as np
import pyarrow.parquet as pq
from matplotlib import pyplot as plt

from fink_lib.config import project_root
from fink_lib.science.catalogs.catalog import healpix_index
from fink_lib.science.modules import elephant
from fink_lib.science.multimessenger.notices import Notice, decode_notice
from fink_lib.science.multimessenger.regions import in_cap, in_region
from fink_lib.science.stamps import central, read_stamp
from fink_lib.science.tracklets import find_tracklets

IMAGES = project_root() / "docs" / "images" / "science"
NIGHT = "ztf/v4.02_spark/ztf_public_20231018_a.tar.gz"
TRAIL = "enriched_ztf/tracklet_16.parquet"
NOTICES = ("gcn/fake_gw_gcn.parquet", "gcn/719313583.parquet")
WIDTH_IN, DPI = 7.0, 90

Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """Give the alerts of an archive of packets."""
    with tarfile.open(path) as archive:
        files = (archive.extractfile(member) for member in archive if member.isfile())
        return [record for file in files if file for record in fastavro.reader(file)]  # type: ignore[misc]


def statistics(records: list[Record]) -> tuple[list[Record], Any]:
    """Give the candidates among alerts, whatever else is known of them, with the values of both stamps."""
    module = elephant.Hostless()
    chosen, values = [], []
    for record in records:
        pair = [read_stamp(record[f"cutout{kind}"]["stampData"]) for kind in ("Science", "Template")]
        if any(image.shape != (elephant.SIDE, elephant.SIDE) for image in pair):
            continue
        images = np.array(pair)
        marks = elephant.clipped(images)
        inner = elephant.clipped(central(images, elephant.CENTRE))
        if elephant.is_candidate(marks[:1], marks[1:])[0] or elephant.is_candidate(inner[:1], inner[1:])[0]:
            chosen.append(record)
            values.append(module._compare(images, marks, record["candid"]))
    return chosen, np.array(values)


def draw_elephant(records: list[Record]) -> None:
    """Three real pairs of stamps, and the values of all candidates of a night's sample."""
    chosen, values = statistics(records)
    far = np.array([record["candidate"]["distnr"] > 1.5 for record in chosen])
    shown = [int(np.argmin(values[:, 1])), int(np.argmax(np.where(far, values[:, 1], 0))), int(np.argmax(values[:, 0]))]
    figure = plt.figure(figsize=(WIDTH_IN, 3.4), dpi=DPI)
    grid = figure.add_gridspec(2, 5, width_ratios=[1, 1, 1, 0.25, 2.4])
    for column, place in enumerate(shown):
        for row, kind in enumerate(("Science", "Template")):
            axes = figure.add_subplot(grid[row, column])
            image = read_stamp(chosen[place][f"cutout{kind}"]["stampData"])
            axes.imshow(image, cmap="gray_r", vmin=np.nanpercentile(image, 2), vmax=np.nanpercentile(image, 99.5))
            axes.set(xticks=[], yticks=[], title=f"{values[place, row]:.2f}")
            axes.title.set_fontsize(8)
            if column == 0:
                axes.set_ylabel(kind.lower(), fontsize=8)
    axes = figure.add_subplot(grid[:, 4])
    for mask, colour, label in (
        (far, "tab:blue", "no reference source in 1.5″"),
        (~far, "tab:orange", "one within 1.5″"),
    ):
        axes.plot(*values[mask].T, ".", color=colour, label=label, markersize=5)
    axes.add_patch(plt.Rectangle((0, 0), 0.5, 0.85, fill=False, color="0.4", linestyle="--"))
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="value of the science image", ylabel="value of the template")
    axes.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.tight_layout()
    figure.savefig(IMAGES / "elephant.png")
    print(f"elephant: {len(records)} alerts, {len(chosen)} candidates, {far.sum()} of them without reference source")
    print("  in the box of the hostless filters:", int(((values[:, 0] <= 0.5) & (values[:, 1] <= 0.85)).sum()))


def draw_tracklet(records: list[Record]) -> None:
    """The glints of a real satellite, as they lie and off the line."""
    candidates = [record["candidate"] for record in records]
    columns = {name: np.array([one[name] for one in candidates]) for name in ("candid", "jd", "ra", "dec")}
    names = find_tracklets(*columns.values())
    mine = np.array([name is not None for name in names])
    ra, dec = columns["ra"][mine], columns["dec"][mine]
    x = (ra - ra.mean()) * np.cos(np.radians(dec.mean())) * 3600
    y = (dec - dec.mean()) * 3600
    fit = np.polyfit(x, y, 2)
    figure, (above, below) = plt.subplots(2, 1, figsize=(WIDTH_IN, 3.2), dpi=DPI, sharex=True)
    above.plot(x, y, "o", color="tab:red", markersize=4)
    line = np.linspace(x.min(), x.max(), 100)
    above.plot(line, np.polyval(fit, line), color="0.6", linewidth=1)
    above.set(ylabel="Δdec (″)", title=next(name for name in names if name))
    below.axhline(0, color="0.6", linewidth=1)
    below.plot(x, y - np.polyval(fit, x), "o", color="tab:red", markersize=4)
    below.set(xlabel="Δra cos dec (″)", ylabel="off the parabola (″)", ylim=(-1, 1))
    figure.tight_layout()
    figure.savefig(IMAGES / "tracklets.png")
    print(
        f"tracklets: {mine.sum()} of {len(mine)} alerts, largest residual {np.abs(y - np.polyval(fit, x)).max():.2f}″"
    )


def draw_triggers(records: list[Record], notices: list[Notice]) -> None:
    """A night's alerts, and the regions of two triggers on the sky."""
    ra, dec = (np.array([record["candidate"][name] for record in records]) for name in ("ra", "dec"))
    grid_dec, grid_ra = np.mgrid[-90:90:360j, 0:360:720j]
    figure = plt.figure(figsize=(WIDTH_IN, 3.6), dpi=DPI)
    axes = figure.add_subplot(projection="mollweide")
    inside_any = np.zeros(len(ra), dtype=bool)
    for notice, colour in zip(notices, ("tab:purple", "tab:green"), strict=True):
        if len(notice.region):
            shape = in_region(notice.region, grid_ra.ravel(), grid_dec.ravel())
            inside = in_region(notice.region, ra, dec)
        else:
            circle = (notice.ra_deg, notice.dec_deg, notice.error_arcmin / 60)
            shape, inside = in_cap(*circle, grid_ra.ravel(), grid_dec.ravel()), in_cap(*circle, ra, dec)
        place = np.radians(
            (np.array([grid_ra.ravel()[shape], grid_dec.ravel()[shape]]).T + [180, 90]) % 360 - [180, 90]
        )
        axes.plot(*place.T, ",", color=colour, alpha=0.4)
        axes.plot([], [], "s", color=colour, label=f"{notice.observatory} {notice.trigger_id}: {inside.sum()} alerts")
        inside_any |= inside
    for mask, colour in ((~inside_any, "0.5"), (inside_any, "tab:red")):
        axes.plot(np.radians((ra[mask] + 180) % 360 - 180), np.radians(dec[mask]), ".", color=colour, markersize=3)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=6)
    axes.legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(IMAGES / "multimessenger.png")
    cells = len(np.unique(healpix_index(ra, dec, 2)))
    print(f"triggers: {len(ra)} alerts in {cells} coarse cells, {inside_any.sum()} inside a region")


def main(data: Path) -> None:
    """Draw all pictures."""
    night = read(data / NIGHT)
    draw_elephant(night)
    draw_tracklet(pq.read_table(data / TRAIL).to_pylist())
    texts = [pq.read_table(data / file).to_pylist()[0]["raw_event"] for file in NOTICES]
    draw_triggers(night, [decode_notice(text.encode()) for text in texts])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
