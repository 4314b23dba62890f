"""``/api/v1/resolver``: what other catalogues call an object, and what an object of theirs is called here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pyarrow as pa

from fink_lib.api.alerts import find_objects, rendered
from fink_lib.api.answer import Rows
from fink_lib.api.arguments import MAX_ROWS, Argument
from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.names import SSO_COLUMNS, asteroid_rows, transient_rows
from fink_lib.api.problems import bad_argument, missing_argument

MOST_NAMES = 100
_PLAIN = re.compile(r"[ -~]{1,100}")
"""Names at SIMBAD are printable ASCII."""
SIMBAD_COLUMNS = ("i:objectId", "d:cdsxmatch", "i:ra", "i:dec", "i:candid", "i:jd")

ARGUMENTS = (
    Argument("resolver", "tns, ssodnet (asteroids and comets) or simbad.", "choice", True,
             choices=("simbad", "ssodnet", "tns"), example="tns"),
    Argument("name", "The name, or its beginning; empty for all transients.", default="", example="SN 2023"),
    Argument("reverse", "True: `name` is an object of ZTF, and its names elsewhere are wanted.", "boolean",
             default=False),
    Argument("nmax", "How many answers at most.", "integer", default=10, least=0, most=MAX_ROWS),
)  # fmt: skip


def resolver(call: Call) -> Rows:
    """Give the names."""
    if "name" not in call.given:
        raise missing_argument("name")
    if not call["name"] and (call["resolver"] != "tns" or call["reverse"]):
        raise missing_argument("name")
    return Rows(_RESOLVERS[call["resolver"], call["reverse"]](call))


def _tns(call: Call) -> pa.Table:
    # the whole table is asked for by an empty name
    most = call["nmax"] if call["name"] or "nmax" in call.given else MAX_ROWS
    return transient_rows(call.stores, "fullname", call["name"], exact=False, most=most)


def _tns_of_object(call: Call) -> pa.Table:
    return transient_rows(call.stores, "internalname", call["name"], exact=True, most=call["nmax"])


def _ssodnet(call: Call) -> pa.Table:
    return asteroid_rows(call.stores, call["name"], exact=call["nmax"] == 1, most=call["nmax"])


def _ssodnet_of_object(call: Call) -> pa.Table:
    wanted = ("i:objectId", "i:ssnamenr")
    alerts = find_objects(call.stores, [call["name"]], MAX_ROWS, wanted, evolution=False).table
    names = [name for name in alerts.column("i:ssnamenr").unique().to_pylist() if name not in (None, "", "null")]
    parts = [asteroid_rows(call.stores, name, exact=True, most=call["nmax"]) for name in names[:MOST_NAMES]]
    if not parts:
        return call.stores.empty_archive_rows("ztf.sso_resolver")
    found = pa.concat_tables(parts, promote_options="permissive").select(SSO_COLUMNS)
    # one without an entry in the table is at least named as the packets do
    missing = [name for name in names if name not in found.column("i:ssnamenr").to_pylist()]
    rows = pa.table({"i:ssnamenr": pa.array(missing, pa.string())})
    return pa.concat_tables([found, rows], promote_options="permissive").slice(0, call["nmax"])


def _simbad(call: Call) -> pa.Table:
    name = call["name"]
    if not _PLAIN.fullmatch(name):
        raise bad_argument("name", "must be printable ASCII, at most 100 characters")
    quoted = name.replace("'", "''")
    found = call.stores.outside.simbad(
        "SELECT TOP 1000 main_id, otype, ra, dec FROM basic JOIN ident ON ident.oidref = basic.oid "
        f"WHERE ident.id = '{quoted}'"
    )
    columns = {"oname": "main_id", "otype": "otype", "jradeg": "ra", "jdedeg": "dec"}
    kinds = {"oname": pa.string(), "otype": pa.string(), "jradeg": pa.float64(), "jdedeg": pa.float64()}
    table = pa.table({name: found.column(theirs).cast(kinds[name]) for name, theirs in columns.items()})
    return table.slice(0, call["nmax"])


def _simbad_of_object(call: Call) -> pa.Table:
    found = find_objects(call.stores, [call["name"]], max(call["nmax"], 1), SIMBAD_COLUMNS, evolution=False).table
    return rendered(found, strict=False, wanted=SIMBAD_COLUMNS).select(SIMBAD_COLUMNS).slice(0, call["nmax"])


_RESOLVERS: Mapping[tuple[str, bool], Callable[[Call], pa.Table]] = {
    ("tns", False): _tns,
    ("tns", True): _tns_of_object,
    ("ssodnet", False): _ssodnet,
    ("ssodnet", True): _ssodnet_of_object,
    ("simbad", False): _simbad,
    ("simbad", True): _simbad_of_object,
}

ENDPOINTS = (
    Endpoint(
        "/api/v1/resolver",
        "Names of an object in other catalogues, and the other way round",
        resolver,
        ARGUMENTS,
        example=[{"d:fullname": "SN 2023ixf", "d:type": "SN II", "d:internalname": "ZTF23aaklqou", "d:redshift": 8e-4}],
        compatible=True,
        tabular=True,
    ),
)
