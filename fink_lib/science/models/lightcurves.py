"""Light curves as the features of all models take them: from alerts in the stream, from the simulator in training.

Both give the same arrays, so that a feature function cannot treat the one otherwise than the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.science.columns import Columns
from fink_lib.science.history import ragged_ranges

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ZERO_POINT_MAG = 27.5
"""Of FLUXCAL (SNANA; Kessler et al. 2009, PASP 121, 1028)."""

POGSON = 2.5 / np.log(10.0)
POSITIVE_WORDS = ("t", "1", "true", "True")
"""How ``isdiffpos`` spells that the source is brighter than in the reference image."""


@dataclass(frozen=True)
class LightCurves:
    """Light curves of many alerts, one after the other, each in order of time and ended by the alert itself.

    Parameters
    ----------
    offsets : ndarray of int64, shape (alerts + 1,)
        Entries of alert ``i`` are ``offsets[i]:offsets[i + 1]``.
    time_jd : ndarray, shape (entries,)
        JD.
    band : ndarray of int64, shape (entries,)
        1 g, 2 r, 3 i.
    entries : mapping of str to ndarray, shape (entries,)
        Fields of each entry under their names in the packet, NaN where null; ``sign`` is +1 or -1 by ``isdiffpos``.
        An entry without ``magpsf`` is an upper limit.
    alerts : mapping of str to ndarray, shape (alerts,)
        Fields of each alert (``ndethist``, ``jdstarthist``), NaN where null.
    """

    offsets: Ints
    time_jd: Floats
    band: Ints
    entries: Mapping[str, Floats]
    alerts: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """Entries of each alert."""
        return np.diff(self.offsets)

    @property
    def alert(self) -> Ints:
        """Alert of each entry."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def valid(self) -> Bools:
        """Whether each entry is a detection with magnitude and error."""
        both: Bools = ~(np.isnan(self.entries["magpsf"]) | np.isnan(self.entries["sigmapsf"]))
        return both

    def count(self, entries: Bools) -> Ints:
        """Count, per alert, the entries that are true."""
        sums = np.concatenate(([0], np.cumsum(entries)))
        result: Ints = (sums[self.offsets[1:]] - sums[self.offsets[:-1]]).astype(np.int64)
        return result

    def take(self, rows: Ints) -> LightCurves:
        """Give the light curves of some alerts."""
        lengths = self.lengths[rows]
        picks = ragged_ranges(self.offsets[:-1][rows], lengths)
        return LightCurves(
            np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            self.time_jd[picks],
            self.band[picks],
            {name: values[picks] for name, values in self.entries.items()},
            {name: values[rows] for name, values in self.alerts.items()},
        )

    def where(self, keep: Bools) -> LightCurves:
        """Give the light curves without the entries that are false."""
        return LightCurves(
            np.concatenate(([0], np.cumsum(self.count(keep)))).astype(np.int64),
            self.time_jd[keep],
            self.band[keep],
            {name: values[keep] for name, values in self.entries.items()},
            self.alerts,
        )


def light_curves(columns: Columns, entries: Sequence[str], alerts: Sequence[str] = ()) -> LightCurves:
    """Give the light curves of a batch of alerts, each (time, band) once.

    Parameters
    ----------
    columns : Columns
        Must declare ``history.<field>`` for each of `entries`, and ``candidate.<field>`` for each of `alerts`.
    entries : sequence of str
        Fields of the history; ``sign`` stands for ``isdiffpos``.
    alerts : sequence of str
        Fields of the alert's own measurement.
    """
    history = columns.history
    if not history.winner.all():
        history = history.where(history.winner)
    fields: dict[str, Floats] = {}
    for name in entries:
        fields[name] = signs(history.arrow("isdiffpos")) if name == "sign" else history.values(name)
    own = {name: columns.floats(f"candidate.{name}") for name in alerts}
    return LightCurves(history.offsets, history.time, history.band, fields, own)


def signs(isdiffpos: pa.Array) -> Floats:
    """Give +1 where the difference is positive and -1 elsewhere (``isdiffpos`` as the survey spells it)."""
    words = pa.array(POSITIVE_WORDS) if pa.types.is_string(isdiffpos.type) else pa.array([True])
    positive = pc.is_in(isdiffpos, value_set=words).to_numpy(zero_copy_only=False)
    result: Floats = np.where(positive, 1.0, -1.0)
    return result


def fluxcal(mag: Floats, error_mag: Floats, sign: Floats) -> tuple[Floats, Floats]:
    """Turn difference magnitudes into signed FLUXCAL and its error.

    F = s 10^(0.4 (27.5 - m)), sigma_F = |F| sigma_m ln(10) / 2.5.

    >>> flux, error = fluxcal(np.array([17.5]), np.array([0.1]), np.array([-1.0]))
    >>> round(float(flux[0]), 6), round(float(error[0]), 6)
    (-10000.0, 921.034037)
    """
    brightness = 10 ** (0.4 * (ZERO_POINT_MAG - mag))
    return sign * brightness, brightness * error_mag / POGSON
