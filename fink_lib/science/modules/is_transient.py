"""Whether an alert looks like a real, new, stationary source: not an artefact, a bright star's halo or a variable star.

The cuts are those that the Fink broker publishes as ``is_transient``. They are kept as one SQL expression, with SQL's
three-valued logic: what is not known neither makes nor unmakes a transient.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.columns import Columns
from fink_lib.science.duck import select
from fink_lib.science.history import History
from fink_lib.science.photometry import difference_sign
from fink_lib.surveys.base import Survey

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NO_SOURCE_ARCSEC = 99.0
"""What a negative distance means: the survey writes -999 where there is no source."""

DISTANCES = {
    "dn": "distnr",
    "d1": "distpsnr1",
    "d2": "distpsnr2",
    "d3": "distpsnr3",
    "neargaia": "neargaia",
    "neargaiabright": "neargaiabright",
}
"""Name in the expression and field of the alert."""

FIELDS = {
    "m": "magpsf",
    "jd": "jd",
    "jdstarthist": "jdstarthist",
    "rb": "rb",
    "drb": "drb",
    "ndethist": "ndethist",
    "magnr": "magnr",
    "maggaia": "maggaia",
    "maggaiabright": "maggaiabright",
    "s1": "sgscore1",
    "s2": "sgscore2",
    "s3": "sgscore3",
    **{f"s{band}mag{rank}": f"s{band}mag{rank}" for rank in (1, 2, 3) for band in "gri"},
    "szmag1": "szmag1",
}

SAME_NIGHT_D = 0.75
MOVED_D = 0.02
RECENT_D = 30.0
FAINT_MAG = 19.8
FAINT_BEFORE_MAG = 19.0
NO_MAG = 99.0

RULE = """
WITH named AS (
    SELECT *,
        jd - jdstarthist AS age,
        CASE WHEN srmag1 > 0 AND srmag1 < 30 THEN srmag1
             WHEN simag1 > 0 AND simag1 < 30 THEN simag1
             WHEN sgmag1 > 0 AND sgmag1 < 30 THEN sgmag1
             ELSE 99 END AS ps1,
        coalesce(least(
            CASE WHEN srmag1 > 0 THEN srmag1 END, CASE WHEN simag1 > 0 THEN simag1 END,
            CASE WHEN sgmag1 > 0 THEN sgmag1 END, CASE WHEN szmag1 > 0 THEN szmag1 END), 99) AS ps1max
    FROM alerts
), judged AS (
    SELECT *,
        m >= 19.8 OR faint_before AS faint,
        NOT (
            rb <= 0.2
            OR (rb < 0.35 AND abs(neargaia) < 1 AND abs(maggaia) < 17)
            OR (rb < 0.35 AND d1 < 1 AND s1 > 0.49
                AND (abs(srmag1) < 17 OR abs(simag1) < 17 OR abs(szmag1) < 16.5))
            OR (rb < 0.45 AND abs(neargaia) < 1.5 AND abs(maggaia) < 15.5)
            OR (rb < 0.45 AND d1 < 1.5 AND s1 > 0.49
                AND (abs(srmag1) < 15.5 OR abs(simag1) < 15.5 OR abs(szmag1) < 15))
            OR drb < 0.8
            OR (age > 90 AND (
                (drb < 0.9 AND d1 < 3 AND ps1 < 16) OR (drb < 0.9 AND d1 < 1.1 AND ps1 < 18)
                OR (drb < 0.95 AND d1 < 1.5 AND ps1 < 15.5) OR (drb < 0.95 AND d1 < 0.8 AND ps1 < 17.5)))
        ) AS is_real,
        (s1 > 0.76 AND d1 < 2.5)
            OR (s1 > 0.2 AND d1 < 1 AND (
                (srmag1 > 0 AND szmag1 > 0 AND srmag1 - szmag1 > 3)
                OR (srmag1 > 0 AND simag1 > 0 AND srmag1 - simag1 > 3))) AS on_star,
        (abs(neargaiabright) < 20 AND abs(maggaiabright) < 12)
            OR (d1 < 20 AND abs(srmag1) < 14 AND s1 > 0.9)
            OR (d2 < 20 AND abs(srmag2) < 14 AND s2 > 0.9)
            OR (d3 < 20 AND abs(srmag3) < 14 AND s3 > 0.9)
            OR (d1 < 20 AND abs(simag1) < 14 AND s1 > 0.9)
            OR (d1 < 10 AND abs(szmag1) < 14 AND s1 > 0.9) AS near_bright_star,
        (age > 90 AND ndethist > 30 AND nprev >= CASE WHEN age > 360 THEN 1 WHEN age > 90 THEN 2 END
            AND magnr > 0 AND NOT (m <= peak AND m < 18.5)
            AND ((dn < 0.4 AND magnr < 19.5) OR (dn < 0.8 AND magnr < 17.5) OR (dn < 1.2 AND magnr < 15.5)))
            OR (maggaia > 0 AND neargaia > 0 AND (
                (neargaia < 0.35 AND maggaia < 17 AND age > 30)
                OR (neargaia < 0.35 AND maggaia < 19 AND age > 300 AND m > 18.5)
                OR (neargaia < 0.2 AND maggaia < 18 AND age > 90)))
            OR (s1 > 0.25 AND d1 < 3 AND age > 90 AND ps1max < 16)
            OR (s1 = 0.5 AND d1 < 0.5 AND age > 90 AND ps1max < 17)
            OR (magnr > 0 AND magnr < m - 1 AND age > 90 AND dn < 0.5 AND m > peak)
            OR ndethist > 200 AS is_variable
    FROM named
)
SELECT NOT faint AND positive AND is_real AND NOT on_star AND NOT near_bright_star AND NOT is_variable
    AND stationary AND roid = 0 AS is_transient
FROM judged
"""


class IsTransient(ScienceModule):
    """Evaluates the rule; an alert on which it cannot be decided is ``not_applicable``."""

    declaration = Declaration(
        name="is_transient",
        version="1",
        inputs=(
            *(f"candidate.{field}" for field in (*FIELDS.values(), *DISTANCES.values(), "isdiffpos")),
            "history.magpsf",
            "history.isdiffpos",
            "roid",
        ),
        outputs=pa.schema([("is_transient", pa.bool_())]),
        requires=("roid",),
    )

    def run(self, columns: Columns) -> ModuleResult:
        """Judge."""
        named = {name: columns.floats(f"candidate.{field}") for name, field in FIELDS.items()}
        for name, field in DISTANCES.items():
            distance = columns.floats(f"candidate.{field}")
            named[name] = np.where(distance < 0, NO_SOURCE_ARCSEC, distance)
        arrays = {name: pa.array(values, mask=np.isnan(values)) for name, values in named.items()}
        arrays |= history_columns(columns.history)
        isdiffpos = columns.arrow("candidate.isdiffpos")
        arrays["positive"] = pa.array(difference_sign(isdiffpos) > 0, mask=np.asarray(isdiffpos.is_null()))
        arrays["roid"] = columns.arrow("roid")
        answer = select(RULE, alerts=pa.table(arrays)).column(0).combine_chunks()
        status = statuses(len(columns))
        status[np.asarray(answer.is_null())] = Status.NOT_APPLICABLE
        return ModuleResult({"is_transient": answer}, status)


def history_columns(history: History) -> dict[str, pa.Array]:
    """Give what the rule asks of the entries before the alert.

    Parameters
    ----------
    history : History
        Light curves.

    Returns
    -------
    dict of str to pyarrow.Array
        ``faint_before``: a positive one of 19 mag or fainter in the same night; ``nprev``: number of positive ones of
        the last 30 d, not of this night, brighter than 19.8 mag; ``peak``: brightest magnitude in the alert's band,
        itself included; ``stationary``: a positive one more than half an hour away in time. As in SQL, an entry with a
        missing value makes none of them true.
    """
    size = len(history.offsets) - 1
    own = np.full(size, -1, dtype=np.int64)
    places = np.flatnonzero(history.own)
    own[history.alert[places]] = places
    mine = own[history.alert]
    magnitude = history.values("magpsf")
    before = ~history.own & (mine >= 0)
    positive = before & (difference_sign(history.arrow("isdiffpos")) > 0)
    ago = history.time[mine] - history.time
    faint = positive & (np.abs(ago) < SAME_NIGHT_D) & (magnitude >= FAINT_BEFORE_MAG)
    recent = positive & (ago > SAME_NIGHT_D) & (ago < RECENT_D) & (magnitude > 0) & (magnitude < FAINT_MAG)
    elsewhen = positive & (np.abs(ago) > MOVED_D) & (magnitude < NO_MAG)
    same_band = (history.own | before) & (history.band == history.band[mine])
    peak = np.full(size, np.nan)
    np.fmin.at(peak, history.alert[same_band], magnitude[same_band])
    return {
        "faint_before": pa.array(history.count(faint) > 0),
        "nprev": pa.array(history.count(recent)),
        "peak": pa.array(peak, mask=np.isnan(peak)),
        "stationary": pa.array(history.count(elsewhen) > 0),
    }


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module."""
    return [IsTransient()] if survey.name == "ztf" else []
