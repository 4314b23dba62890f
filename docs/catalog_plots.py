"""Draw the picture of the cross-match pages, and measure how many positions per second each catalogue takes.

Usage: ``.venv/bin/python docs/catalog_plots.py DATA``, DATA being a folder with ``ztf`` and ``catalogs`` of the shared
sample. The catalogues are built in a temporary installation.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt

from fink_lib.config import Settings, load_settings, project_root
from fink_lib.science.catalogs import Catalog, open_catalog, source_of
from fink_lib.science.catalogs.snapshots import snapshot_from_file
from fink_lib.surveys import get_survey

IMAGE = project_root() / "docs" / "images" / "science" / "cross_matches.png"
FILES = {
    "spicy": "spicy.parquet",
    "symbiotic_cv": "symbiotic_and_cataclysmic.parquet",
    "known_tde": "known_tde_148.parquet",
}
RADII_ARCSEC = {
    "vsx": 1.5,
    "gcvs": 1.5,
    "spicy": 1.2,
    "3hsp": 60.0,
    "4lac": 60.0,
    "mangrove": 60.0,
    "symbiotic_cv": 0.5,
    "known_tde": 5.0,
}
SHOWN = {"vsx": 6.0, "gcvs": 6.0, "spicy": 6.0, "mangrove": 120.0}
"""Catalogues of the picture, and how far it goes (arcsec)."""

SHIFT_DEG = 0.05
POSITIONS, BATCH = 100_000, 500

Floats = npt.NDArray[np.float64]


def positions(data: Path) -> tuple[Floats, Floats]:
    """Give the positions of the real alerts of the sample."""
    survey = get_survey("ztf")
    found = []
    for path in sorted((data / "ztf").rglob("*.tar.gz")):
        with tarfile.open(path) as archive:
            files = (archive.extractfile(member) for member in archive if member.isfile())
            alerts = survey.decode([file.read() for file in files if file is not None]).alerts
        candidate = alerts.column("candidate").combine_chunks()
        found.append(np.stack([candidate.field("ra").to_numpy(), candidate.field("dec").to_numpy()]))
    ra, dec = np.concatenate(found, axis=1)
    return ra, dec


def catalogs(data: Path, settings: Settings) -> dict[str, Catalog]:
    """Build the catalogues."""
    for name, file in FILES.items():
        snapshot_from_file(name, data / "catalogs" / file, settings.catalog_dir)
    opened = {name: open_catalog(source_of(name, settings), settings.catalog_dir) for name in RADII_ARCSEC}
    return {name: catalog for name, catalog in opened.items() if catalog is not None}


def draw(found: dict[str, Catalog], ra: Floats, dec: Floats) -> None:
    """Draw how far the nearest source of real alerts is, and of the same places moved by three arcminutes."""
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(10, 2.6), layout="constrained")
    for axis, (name, far) in zip(axes, SHOWN.items(), strict=True):
        here = found[name].nearest(ra, dec, far).separation_arcsec
        chance = found[name].nearest(ra, dec + SHIFT_DEG, far).separation_arcsec
        bins = np.linspace(0, far, 31)
        axis.hist(here[np.isfinite(here)], bins, color="tab:blue", label="alerts")
        axis.hist(chance[np.isfinite(chance)], bins, histtype="step", color="k", label="moved by 3′")
        axis.axvline(RADII_ARCSEC[name], color="tab:red", lw=1, label="radius")
        axis.set(title=name, xlabel="separation (arcsec)")
    axes[0].set_ylabel(f"of {len(ra)} alerts")
    axes[-1].legend(fontsize=7)
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGE, dpi=90)


def rate(catalog: Catalog, ra: Floats, dec: Floats, radius_arcsec: float, batch: int) -> float:
    """Give positions per second."""
    start = time.perf_counter()
    for first in range(0, len(ra), batch):
        catalog.nearest(ra[first : first + batch], dec[first : first + batch], radius_arcsec)
    return len(ra) / (time.perf_counter() - start)


def measure(found: dict[str, Catalog]) -> None:
    """Print positions per second: anywhere on the sky, each beside a source, and in small batches."""
    draw_from = np.random.default_rng(1)
    ra = draw_from.uniform(0, 360, POSITIONS)
    dec = np.degrees(np.arcsin(draw_from.uniform(-1, 1, POSITIONS)))
    print(f"{'catalogue':14} {'sources':>9} {'anywhere':>11} {'beside one':>11} {'by ' + str(BATCH):>11}  positions/s")
    for name, catalog in found.items():
        rows = draw_from.integers(0, len(catalog), POSITIONS)
        near = [catalog.sources.column(axis).to_numpy()[rows] for axis in ("ra", "dec")]
        speeds = [
            max(rate(catalog, *place, RADII_ARCSEC[name], batch) for _ in range(3))
            for place, batch in (((ra, dec), POSITIONS), (near, POSITIONS), (near, BATCH))
        ]
        print(f"{name:14} {len(catalog):9d} " + " ".join(f"{speed:11,.0f}" for speed in speeds))


def main(data: Path) -> None:
    """Do both."""
    with tempfile.TemporaryDirectory() as home:
        found = catalogs(data, load_settings(home))
        draw(found, *positions(data))
        measure(found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
