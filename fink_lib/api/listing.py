"""From found alerts to the rows of an answer, the same way for every endpoint that lists alerts."""

from __future__ import annotations

from collections.abc import Sequence

from fink_lib.api.alerts import Found, rendered
from fink_lib.api.answer import Rows, wanted_columns
from fink_lib.api.arguments import MAX_ROWS, Argument
from fink_lib.api.column_sets import Size, known_columns, needed_columns, tells_evolution
from fink_lib.api.endpoint import Call

NULLS = Argument(
    "nulls",
    "`fink`: Fink's values where nothing was found, null where nobody knows; `strict`: null for both "
    "(`d:fink_status` tells which).",
    "choice",
    default="fink",
    choices=("fink", "strict"),
)
CONTINUE = Argument("continue", "Go on where an answer ended: what its header `Fink-Continue` said.")


def wanted_with(call: Call, always: Sequence[str] = ()) -> tuple[str, ...] | None:
    """Give the columns that a client asked for, and those that the answer has in any case; None for all."""
    wanted = wanted_columns(call["columns"])
    return None if wanted is None else tuple(dict.fromkeys((*wanted, *always)))


def needed_for(call: Call, size: Size, always: Sequence[str] = (), evolution: bool = False) -> set[str] | None:
    """Name the stored columns that have to be read for a call; None means all."""
    return needed_columns(call.stores.lake.survey, size, wanted_with(call, always), evolution)


def rows_to_read(call: Call, most: int = MAX_ROWS) -> int:
    """Tell how many rows have to be found for the page that was asked for."""
    return min(int(call["offset"]) + int(call["limit"]), most)


def alert_rows(
    call: Call, found: Found, size: Size, always: Sequence[str] = (), evolution: bool = False, added: Sequence[str] = ()
) -> Rows:
    """Make the rows of an answer.

    Parameters
    ----------
    call : Call
        With the arguments of tables, and :data:`NULLS`.
    found : Found
        The alerts.
    size : Size
        The set of columns that the answer has.
    always : sequence of str
        Columns that are there even if the client did not choose them.
    evolution : bool
        Whether rates and colours are among them.
    added : sequence of str
        Columns of the found table that are in no set.
    """
    wanted = wanted_with(call, always)
    table = rendered(found.table, call["nulls"] == "strict", wanted, evolution and tells_evolution(wanted))
    known = (*known_columns(call.stores.lake.survey, size, evolution), *added)
    headers = dict(found.headers)
    if found.resume is not None:
        headers["Fink-Continue"] = found.resume
    return Rows(table, headers, found.total, known, always=tuple(always))
