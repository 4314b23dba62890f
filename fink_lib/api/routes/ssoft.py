"""``/api/v1/ssoft``: the monthly table of phase curves of known asteroids.

The table of a month is a file ``ssoft_<flavor>_<YYYY.MM>.parquet`` in the installation's folder ``ssoft``. Whoever
computes one puts it there; of a month without a file the answer says so.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from starlette.responses import FileResponse

from fink_lib.api.answer import TABLE_ARGUMENTS, Rows, table_response
from fink_lib.api.arguments import Argument
from fink_lib.api.endpoint import Answer, Call, Endpoint
from fink_lib.api.problems import ApiError, ArgumentFault

FLAVORS = ("SOCCA", "SHG1G2", "HG1G2", "HG")
FIRST = "2023.07"
_VERSION = re.compile(r"[0-9]{4}\.(0[1-9]|1[0-2])")

ARGUMENTS = (
    Argument("sso_name", "One object, by name; the whole table by default."),
    Argument("sso_number", "One object, by number.", "integer", least=1, most=10_000_000),
    Argument("schema", "True gives names and types of the columns instead.", "boolean", default=False),
    Argument("flavor", "Model of the phase curve: SHG1G2, HG1G2, HG or SOCCA.", default="SHG1G2"),
    Argument("version", "Month of the table, YYYY.MM; this month by default.", example="2026.11"),
)


def ssoft(call: Call) -> Answer:
    """Give the table of a month, or the row of one object."""
    flavor, version = _flavor(call["flavor"]), _version(call["version"] or f"{datetime.now(UTC):%Y.%m}")
    path = call.stores.settings.home / "ssoft" / f"ssoft_{flavor}_{version}.parquet"
    if not path.is_file():
        text = f"No table {flavor} of {version} has been made; {_made(path.parent)}.\n"
        raise ApiError("not-found", text, (ArgumentFault("version", "no such table"),), status=404)
    if call["schema"]:
        return {field.name: {"type": str(field.type), "doc": _doc(field)} for field in pq.read_schema(path)}
    one = _one(call)
    if one is None and ("output-format" not in call.given or call["output-format"] == "parquet"):
        return FileResponse(path, media_type="application/parquet", filename=path.name)
    rows = pq.read_table(path, filters=one)
    return table_response(Rows(rows), {**call.arguments, "output-format": call["output-format"]})


def _one(call: Call) -> pc.Expression | None:
    if call["sso_name"]:
        return pc.field("sso_name") == call["sso_name"]
    if call["sso_number"] is not None:
        return pc.field("sso_number") == call["sso_number"]
    return None


def _flavor(flavor: str) -> str:
    if flavor not in FLAVORS:
        text = f"flavor needs to be in {list(FLAVORS)}\n"
        raise ApiError("bad-argument", text, (ArgumentFault("flavor", "not known"),))
    return flavor


def _version(version: str) -> str:
    if not _VERSION.fullmatch(version):
        raise ApiError("bad-argument", "version needs to be YYYY.MM\n", (ArgumentFault("version", "no month"),))
    if version < FIRST:
        raise ApiError("bad-argument", "version starts on 2023.07\n", (ArgumentFault("version", "too early"),))
    return version


def _made(folder: Path) -> str:
    made = sorted(path.stem.removeprefix("ssoft_") for path in folder.glob("ssoft_*.parquet"))
    return f"there are: {', '.join(made[-12:])}" if made else "this installation has none yet"


def _doc(field: Any) -> str:
    return str((field.metadata or {}).get(b"doc", b"").decode())


ENDPOINTS = (
    Endpoint(
        "/api/v1/ssoft",
        "The monthly table of phase curves of known asteroids",
        ssoft,
        (*ARGUMENTS, *TABLE_ARGUMENTS),
        example=[{"sso_name": "Benoitcarry", "sso_number": 8467, "H_1": 13.9}],
        compatible=True,
        media=("application/parquet", "application/csv", "text/xml", "parquet"),
        refusals={404: "This table has not been made"},
    ),
)
