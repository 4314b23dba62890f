"""``/api/v1/sso``: the alerts of known asteroids and comets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from fink_lib.api.alerts import Bools, Found
from fink_lib.api.answer import Rows
from fink_lib.api.arguments import MAX_ROWS, Argument
from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.ephemerides import EPHEMERIDES, RESIDUALS, with_ephemerides, with_residuals
from fink_lib.api.images import MOST_ALERTS, page_with_images
from fink_lib.api.listing import NULLS, alert_rows, needed_for, rows_to_read, wanted_with
from fink_lib.api.names import Asteroid, find_asteroids
from fink_lib.api.problems import ApiError, ArgumentFault
from fink_lib.api.scans import Scan
from fink_lib.api.search import Search, all_of, equal_to, find_newest
from fink_lib.api.stamps import KINDS

ALWAYS = ("i:ssnamenr", "sso_name", "sso_number")
KNOWN_TO_MPC = 3
"""Value of ``roid`` for an alert of a known object."""
_CURVE = ("i:jd", "i:ra", "i:dec", "i:magpsf", "i:sigmapsf", "i:fid")

ARGUMENTS = (
    Argument("n_or_d", "Number or name of the object, or several separated by commas: `8467`, `2010 JO69`, `10P`.",
             "list", required=True, example="8467"),
    Argument("withEphem", "True adds ephemerides, which a service computes (Miriade, IMCCE).", "boolean",
             default=False),
    Argument("withResiduals", "True adds ephemerides, and residuals of a fit of the sHG1G2 model.", "boolean",
             default=False),
    Argument("withcutouts", f"Images as lists of rows of pixels, of the first {MOST_ALERTS} alerts of the answer.",
             "boolean", default=False),
    Argument("withCutouts", "Another spelling of `withcutouts`.", "boolean", default=False),
    Argument("cutout-kind", "Which image: Science, Template or Difference.", default="Science"),
    NULLS,
)  # fmt: skip


def sso(call: Call) -> Rows:
    """Give the alerts of the objects asked for."""
    with_cutouts = call["withcutouts"] or call["withCutouts"]
    _check(call, with_cutouts)
    known = _resolve(call)
    looked_up = call["withEphem"] or call["withResiduals"]
    told = (*EPHEMERIDES, *((RESIDUALS,) if call["withResiduals"] else ())) if looked_up else ()
    found = _find(call, [asteroid.ssnamenr for asteroid in known], (*ALWAYS, *(_CURVE if looked_up else ())))
    table = _named(found.table, known)
    if looked_up:
        table = with_ephemerides(call.stores.outside, table, known)
    if call["withResiduals"]:
        table = with_residuals(table)
    always = (*ALWAYS, *told)
    rows = alert_rows(call, replace(found, table=table), "index", always, added=always[1:])
    return page_with_images(call, rows) if with_cutouts else rows


def _check(call: Call, with_cutouts: bool) -> None:
    wanted = wanted_with(call)
    if with_cutouts and wanted is not None and not {"i:objectId", "i:candid"} <= set(wanted):
        raise _refused("columns", "You need to add 'i:objectId,i:candid' to the columns.\n")
    if with_cutouts and call["cutout-kind"] not in KINDS:
        raise _refused("cutout-kind", "`cutout-kind` must be `Science`, `Difference`, or `Template`.\n")
    if len(call["n_or_d"]) > 1 and call["withResiduals"]:
        raise _refused("withResiduals", "You cannot request residuals for a list object names.\n")


def _resolve(call: Call) -> list[Asteroid]:
    found: dict[str, Asteroid] = {}
    for sought in call["n_or_d"] or ("",):
        asteroids = find_asteroids(call.stores, sought)
        if not asteroids:
            raise _refused("n_or_d", f"{sought[:100]} is not a valid name or number according to quaero.\n")
        found |= {asteroid.ssnamenr: asteroid for asteroid in asteroids}
    return list(found.values())


def _find(call: Call, names: Sequence[str], always: Sequence[str]) -> Found:
    def known_to_mpc(index: pa.Table) -> Bools:
        return np.asarray(index.column("d:roid").fill_null(0).to_numpy() == KNOWN_TO_MPC)

    live = [equal_to("i:ssnamenr", *names), known_to_mpc]
    search = Search("ztf.ssnamenr", [Scan((name,)) for name in names], lambda index: all_of(live, index))
    needed = needed_for(call, "index", always)
    return find_newest(call.stores, search, rows_to_read(call, MAX_ROWS + call["offset"]), needed)


def _named(table: pa.Table, known: Sequence[Asteroid]) -> pa.Table:
    by_name = {asteroid.ssnamenr: asteroid for asteroid in known}
    rows = [by_name[name] for name in table.column("i:ssnamenr").to_pylist()]
    table = table.append_column("sso_name", pa.array([row.name for row in rows], pa.string()))
    return table.append_column("sso_number", pa.array([row.number for row in rows], pa.int64()))


def _refused(argument: str, text: str) -> ApiError:
    return ApiError("bad-argument", text, (ArgumentFault(argument, text.strip()),))


ENDPOINTS = (
    Endpoint(
        "/api/v1/sso",
        "The alerts of known asteroids and comets",
        sso,
        ARGUMENTS,
        example=[{"i:ssnamenr": "8467", "i:jd": 2459397.8, "sso_name": "Benoitcarry", "sso_number": 8467}],
        compatible=True,
        tabular=True,
    ),
)
