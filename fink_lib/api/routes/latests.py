"""``/api/v1/latests``: the newest alerts of a class, and ``/api/v1/anomaly``: of the most unusual light curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fink_lib.api.alerts import Test
from fink_lib.api.arguments import MAX_ROWS, Argument
from fink_lib.api.class_names import HIGH_STATE, LOW_STATE, SIMBAD_PREFIX, SLSN, TNS_PREFIX
from fink_lib.api.column_sets import Size
from fink_lib.api.endpoint import Answer, Call, Endpoint
from fink_lib.api.evolving import with_evolution
from fink_lib.api.listing import CONTINUE, NULLS, alert_rows, needed_for, rows_to_read
from fink_lib.api.problems import ApiError, ArgumentFault, bad_argument
from fink_lib.api.scans import Scan
from fink_lib.api.search import Extra, Search, all_of, between, compare, equal_to, find_newest

FIRST_JD = 2_458_788.5
"""2019-11-01, the beginning of Fink."""
SELECTED: Mapping[str, tuple[str, str]] = {
    LOW_STATE: ("ztf.low_state_blazars", "low_blazar_state"),
    HIGH_STATE: ("ztf.high_state_blazars", "high_blazar_state"),
    SLSN: ("ztf.slsn", "slsn"),
}
"""Classes that a filter of the night chooses: their table, and that filter."""
TRENDS: Mapping[str, Extra | None] = {
    "rising": Extra(("d:mag_rate",), compare("d:mag_rate", high=0)),
    "fading": Extra(("d:mag_rate",), compare("d:mag_rate", low=0)),
    "low_state": None,
    "new_low_state": Extra(
        ("d:blazar_stats_m0",), lambda rows: rows.column("d:blazar_stats_m0").cast("double").to_numpy() >= 1
    ),
}
ANY_CLASS = ("rising", "fading")

Bounds = tuple[float, float | None]
"""From this date on, before that one (JD)."""

_N = Argument("n", f"How many alerts at most, up to {MAX_ROWS}.", "integer", default=10, least=0, most=MAX_ROWS)
ARGUMENTS = (
    Argument("class", "One of the names that `/api/v1/classes` gives.", required=True, example="SN candidate"),
    _N,
    Argument("startdate", "Alerts from this date on (UTC): ISO, JD or MJD. 2019-11-01 by default.", "date",
             default=FIRST_JD),
    Argument("stopdate", "Alerts before this date. Now by default.", "date"),
    Argument("trend", "rising or fading; low_state or new_low_state for `(CTA) Blazar low state`."),
    Argument("color", "True adds rates and colours of each object (`v:rate`, `v:g-r`, ...).", "boolean", default=False),
    CONTINUE,
    NULLS,
)  # fmt: skip


def latests(call: Call) -> Answer:
    """Give the newest alerts of a class."""
    name, trend = call["class"], call["trend"]
    if trend:
        _check_trend(name, trend)
    search = _search(call, name, TRENDS[trend] if trend else None)
    return _newest(call, search, "full" if name in SELECTED else "index", call["color"])


def anomaly(call: Call) -> Answer:
    """Give the newest alerts of which the filter of the night says that they are unusual."""
    stop = call["stop_date"]
    bounds = _bounds(call, call["start_date"] or FIRST_JD, None if stop is None else _end(stop))
    return _newest(call, _selected(call, ("ztf.anomaly", "anomaly"), bounds, None), "full", color=False)


def _newest(call: Call, search: Search, size: Size, color: bool) -> Answer:
    most = rows_to_read(call, call["n"])
    found = find_newest(call.stores, search, most, needed_for(call, size, evolution=color))
    # `n` is what was asked for; that there are more is no news
    found = replace(found, total=min(found.total, call["n"]))
    if color:
        found = with_evolution(call.stores, found)
    return alert_rows(call, found, size, evolution=color)


def _search(call: Call, name: str, extra: Extra | None) -> Search:
    bounds = low, high = _bounds(call, call["startdate"], call["stopdate"])
    if name in SELECTED:
        return _selected(call, SELECTED[name], bounds, extra)
    if name.startswith(TNS_PREFIX):
        table, column, value = "ztf.tns", "d:tns", name.removeprefix(TNS_PREFIX).strip()
    else:
        table, column, value = "ztf.class", "d:finkclass", name.removeprefix(SIMBAD_PREFIX).strip()
    if not value:
        raise bad_argument("class", "must be one of the names that /api/v1/classes gives")
    live = [equal_to(column, value), between(low, high)]
    return Search(table, [Scan((value,), low, high)], lambda index: all_of(live, index), extra)


def _selected(call: Call, where: tuple[str, str], bounds: Bounds, extra: Extra | None) -> Search:
    table, chosen_by = where
    live: list[Test] = [between(*bounds), call.stores.selections.test(chosen_by)]
    return Search(table, [Scan((), *bounds)], lambda index: all_of(live, index), extra)


def _bounds(call: Call, low: float, high: float | None) -> Bounds:
    if call["continue"]:
        resumed = _resumed(call["continue"])
        high = resumed if high is None else min(high, resumed)
    if high is not None and low > high:
        raise bad_argument("startdate", "must not be after the last date")
    return low, high


def _resumed(text: str) -> float:
    try:
        jd = float(text)
    except ValueError:
        jd = 0.0
    if not 2_400_000.5 <= jd <= 2_500_000.5:
        raise bad_argument("continue", "must be what the header `Fink-Continue` of an answer said")
    return jd


def _end(jd: float) -> float:
    """Give the end of the day that a date names; of a time of day, that time."""
    return jd + 1 if (jd + 0.5) % 1 == 0 else jd


def _check_trend(name: str, trend: str) -> None:
    """Refuse a trend as Fink's API does: in plain text, with the bad value and the allowed ones."""
    allowed = list(TRENDS) if name == LOW_STATE else list(ANY_CLASS)
    if trend not in allowed:
        text = f"{trend[:100]} is not a valid trend for {name[:100]}.\nTrend must be among: {', '.join(allowed)}\n"
        raise ApiError("bad-argument", text, (ArgumentFault("trend", "not known"),), plain=True)


EXAMPLE = [{"i:objectId": "ZTF21abiuvdk", "i:candid": 1642345678915015000, "d:cdsxmatch": "Unknown",
            "v:classification": "SN candidate", "v:source": "lake"}]  # fmt: skip

ENDPOINTS = (
    Endpoint("/api/v1/latests", "The newest alerts of a class", latests, ARGUMENTS, example=EXAMPLE, compatible=True,
             tabular=True),
    Endpoint("/api/v1/anomaly", "The newest alerts with unusual light curves", anomaly,
             (_N,
              Argument("start_date", "Alerts from this date on (UTC): ISO, JD or MJD.", "date"),
              Argument("stop_date", "Alerts up to this date, that day included.", "date"),
              CONTINUE, NULLS),
             example=EXAMPLE, compatible=True, tabular=True),
)  # fmt: skip
