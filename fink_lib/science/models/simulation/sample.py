"""Simulated alerts: what the survey makes of simulated objects, as science modules see it.

An exposure measures the true flux with the survey's noise. Where the result stands out it is a detection, else an upper
limit. An alert is one detection with the 30 days before it; an object gives several alerts, and all of them stay on one
side of a split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fink_lib.science.models.lightcurves import POGSON, ZERO_POINT_MAG, LightCurves
from fink_lib.science.models.simulation.exposures import Exposures, draw_exposures, noise
from fink_lib.science.models.simulation.source import Light, Source, flux_of, known_sources

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

START_JD = 2_459_000.0
HISTORY_D = 30.0
"""How far a packet looks back."""

CHUNK = 1000
"""Objects that are simulated at once; bounds the memory."""

OBJECT_SCATTER, EXPOSURE_SCATTER = 0.8, 0.6
"""The scatter of the errors is mostly that of the places (a bright host), partly of the nights; squares add to 1."""

LIMIT_SCATTER_MAG = 0.3
"""How soft the limit is: real detections are found up to half a magnitude below ``diffmaglim``."""

YEARS_BEFORE_D = (30.0, 1200.0)
"""When a persistent source was first detected, before the window."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What to simulate.

    Parameters
    ----------
    objects : mapping of str to int
        Number of objects of each class (names of :func:`known_sources`).
    alerts_per_object : int
        At most this many alerts of each, drawn from its detections.
    history_d : float
        How far the light curves look back (days); infinite for modules that read the archive too.
    newly_found : bool
        Whether persistent sources were first detected within the window too: a variable star that nobody knew is what
        a young transient is mistaken for.
    """

    objects: Mapping[str, int]
    alerts_per_object: int = 3
    history_d: float = HISTORY_D
    newly_found: bool = False


@dataclass(frozen=True)
class Sample:
    """Simulated alerts with their truth.

    Parameters
    ----------
    curves : LightCurves
        With the entries ``magpsf``, ``sigmapsf``, ``diffmaglim``, ``sign``, ``magnr``, ``sigmagnr``, ``distnr`` and the
        alert fields ``jd``, ``ndethist``, ``jdstarthist``, ``distnr``, ``distpsnr1``, ``sgscore1``.
    kind : ndarray of str, shape (alerts,)
        Class.
    object_id : ndarray of int64, shape (alerts,)
        Object.
    """

    curves: LightCurves
    kind: npt.NDArray[np.str_]
    object_id: Ints

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def sha256(self) -> str:
        """Digest of all light curves and truths."""
        digest = hashlib.sha256()
        for array in (self.curves.time_jd, *self.curves.entries.values(), *self.curves.alerts.values()):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update("\n".join(self.kind.tolist()).encode())
        return digest.hexdigest()

    def take(self, rows: Ints) -> Sample:
        """Give some of the alerts."""
        return Sample(self.curves.take(rows), self.kind[rows], self.object_id[rows])

    def split(self, *shares: float) -> list[Sample]:
        """Divide into parts by object; the split depends on the object's number alone.

        Parameters
        ----------
        *shares : float
            Of each part; they add up to one.
        """
        # a multiplicative hash: neighbours in number, which are of one class, are spread over the parts
        place = (self.object_id * 2_654_435_761 % 2**32) / 2**32
        edges = np.concatenate(([0.0], np.cumsum(shares)))
        edges[-1] = 1.0
        return [
            self.take(np.flatnonzero((place >= low) & (place < high)))
            for low, high in zip(edges[:-1], edges[1:], strict=True)
        ]


def simulate(request: Request, seed: int, tell: Tell | None = None) -> Sample:
    """Simulate alerts.

    Parameters
    ----------
    request : Request
        What.
    seed : int
        The same seed and request give the same alerts; each class has its own stream of draws.
    tell : callable, optional
        Takes a line per class.

    Returns
    -------
    Sample
    """
    sources = known_sources()
    parts: list[Sample] = []
    first = 0
    for name, count in request.objects.items():
        code = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        rng = np.random.Generator(np.random.PCG64([seed, code]))
        alerts = 0
        for start in range(0, count, CHUNK):
            part = _observe(rng, sources[name], min(CHUNK, count - start), request, first + start)
            alerts += len(part)
            parts.append(part)
        first += count
        if tell is not None:
            tell(f"simulated: {name}, {count} objects, {alerts} alerts")
    return concatenate(parts)


def concatenate(parts: list[Sample]) -> Sample:
    """Put samples one after the other."""
    curves = [part.curves for part in parts]
    lengths = np.concatenate([one.lengths for one in curves])
    joined = LightCurves(
        np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        np.concatenate([one.time_jd for one in curves]),
        np.concatenate([one.band for one in curves]),
        {name: np.concatenate([one.entries[name] for one in curves]) for name in curves[0].entries},
        {name: np.concatenate([one.alerts[name] for one in curves]) for name in curves[0].alerts},
    )
    return Sample(joined, np.concatenate([part.kind for part in parts]), np.concatenate([p.object_id for p in parts]))


@dataclass(frozen=True)
class _Measured:
    mag: Floats
    error: Floats
    positive: Bools
    detected: Bools


def _observe(rng: np.random.Generator, source: Source, count: int, request: Request, first_id: int) -> Sample:
    exposures = draw_exposures(rng, count, source.span_d)
    light = source.draw(rng, exposures)
    measured = _measure(rng, exposures, light)
    rows, places = _choose(rng, measured.detected, request.alerts_per_object)
    now = exposures.time_d[rows, places]
    since = now[:, None] - exposures.time_d[rows]
    with np.errstate(invalid="ignore"):
        inside = (since >= 0) & (since <= request.history_d)
    alert, place = np.nonzero(inside)
    owner = rows[alert]
    detected = measured.detected[owner, place]
    band = exposures.band[owner, place]
    reference = light.reference_mag[owner, np.where(band == 1, 0, 1)]

    def where_detected(values: Floats) -> Floats:
        return np.where(detected, values, np.nan)

    distnr = light.alerts.get("distnr", np.full(count, np.nan))
    entries = {
        "magpsf": where_detected(measured.mag[owner, place]),
        "sigmapsf": where_detected(measured.error[owner, place]),
        "diffmaglim": exposures.depth_mag[owner, place],
        "sign": np.where(measured.positive[owner, place] & detected, 1.0, -1.0),
        "magnr": where_detected(reference),
        "sigmagnr": where_detected(np.clip(0.012 * 10 ** (0.25 * (reference - 17.0)), 0.012, 0.36)),
        "distnr": where_detected(distnr[owner]),
    }
    seen = np.cumsum(measured.detected, axis=1)[rows, places].astype(np.float64)
    began = exposures.time_d[np.arange(count), np.argmax(measured.detected, axis=1)]
    if source.persistent and not request.newly_found:
        before = rng.uniform(*YEARS_BEFORE_D, count)
        rate = seen_rate(measured.detected, source.span_d)
        seen = seen + np.floor(before * rate * rng.uniform(0.2, 0.6, count))[rows]
        began = -before
    alerts = {
        "jd": START_JD + now,
        "ndethist": seen,
        "jdstarthist": START_JD + began[rows],
        **{name: values[rows] for name, values in light.alerts.items()},
    }
    curves = LightCurves(
        np.concatenate(([0], np.cumsum(inside.sum(axis=1)))).astype(np.int64),
        START_JD + exposures.time_d[owner, place],
        band,
        entries,
        alerts,
    )
    return Sample(curves, np.full(len(rows), source.name), first_id + rows)


def seen_rate(detected: Bools, span_d: float) -> Floats:
    """Give how often each object is detected (per day)."""
    rate: Floats = detected.sum(axis=1) / span_d
    return rate


def _measure(rng: np.random.Generator, exposures: Exposures, light: Light) -> _Measured:
    """Add the survey's noise to true fluxes, and say which measurements stand out."""
    background = flux_of(exposures.depth_mag) / 5.0
    place = OBJECT_SCATTER * rng.standard_normal((len(background), 1))
    scatter = place + EXPOSURE_SCATTER * rng.standard_normal(background.shape)
    there = exposures.band > 0
    true = np.where(there, np.nan_to_num(light.difference), 0.0)

    def error_of(flux: Floats) -> Floats:
        above = exposures.depth_mag - (ZERO_POINT_MAG - 2.5 * np.log10(np.maximum(np.abs(flux), 1e-3)))
        ratio, spread = noise(above, exposures.band)
        return background * ratio * np.exp(spread * scatter)

    flux = true + error_of(true) * rng.standard_normal(true.shape)
    brightness = np.maximum(np.abs(flux), 1e-3)
    mag = ZERO_POINT_MAG - 2.5 * np.log10(brightness)
    softness = np.clip(
        LIMIT_SCATTER_MAG * rng.standard_normal(mag.shape), -2 * LIMIT_SCATTER_MAG, 2 * LIMIT_SCATTER_MAG
    )
    detected = there & (exposures.depth_mag - mag > softness)
    return _Measured(mag, POGSON * error_of(flux) / brightness, flux > 0, detected)


def _choose(rng: np.random.Generator, detected: Bools, most: int) -> tuple[Ints, Ints]:
    """Draw at most `most` detections of each object; give object and exposure of each."""
    keys = np.where(detected, rng.random(detected.shape), np.inf)
    places = np.sort(np.argsort(keys, axis=1)[:, :most], axis=1)
    rows = np.repeat(np.arange(len(detected)), places.shape[1])
    flat = places.ravel()
    keep = detected[rows, flat]
    return rows[keep], flat[keep].astype(np.int64)
