"""Where a survey's alerts hold what every science module needs: position, and the pieces of a light curve."""

from __future__ import annotations

from dataclasses import dataclass

from fink_lib.errors import ConfigError


@dataclass(frozen=True)
class Layout:
    """Column map of one survey for science.

    Parameters
    ----------
    ra, dec : str
        Dotted paths of the alert's own position (ICRS, deg).
    own : str
        Struct column of the alert's own measurement.
    previous : str
        List-of-struct column of earlier measurements and limits.
    time, band : str
        Fields of both that hold the time (d) and the filter.
    identity : tuple of str
        Fields that order two entries of one time and band; the larger wins. Together they make the order total, so that
        no result depends on how the packet was sorted.
    magnitude, error : str
        Fields that make an entry *valid* when both are there.
    """

    ra: str
    dec: str
    own: str
    previous: str
    time: str
    band: str
    identity: tuple[str, ...]
    magnitude: str
    error: str


_LAYOUTS = {
    "ztf": Layout(
        ra="candidate.ra",
        dec="candidate.dec",
        own="candidate",
        previous="prv_candidates",
        time="jd",
        band="fid",
        identity=("candid", "pid", "diffmaglim", "magpsf", "sigmapsf"),
        magnitude="magpsf",
        error="sigmapsf",
    )
}


def layout_of(survey: str) -> Layout:
    """Give the column map of a survey.

    Parameters
    ----------
    survey : str
        Short name of the survey.

    Raises
    ------
    ConfigError
        If the survey has none yet.
    """
    try:
        return _LAYOUTS[survey]
    except KeyError:
        known = ", ".join(sorted(_LAYOUTS))
        raise ConfigError(f"survey {survey!r} has no column map for science (there are: {known})") from None
