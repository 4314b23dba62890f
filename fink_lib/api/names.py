"""Names of Solar System objects and of transients, from the archive's tables of names."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from fink_lib.api.stores import Stores
from fink_lib.archive.reader import ArchiveReader
from fink_lib.errors import TransientError

LOG = logging.getLogger(__name__)

SSO_TABLE, TNS_TABLE = "ztf.sso_resolver", "ztf.tns_resolver"
NAMES_EACH = 3
SSO_COLUMNS = ("i:ssnamenr", "i:name", "i:number")
_NUMBER = re.compile(r"[0-9]{1,7}")
_DESIGNATION = re.compile(r"[0-9]{4}[A-Z]{2}[0-9]{0,4}|[0-9]{4}[PT]-L|[0-9]{4}T-[1-3]", re.IGNORECASE)
_COMET = re.compile(r"[0-9]{1,4}[PDI]|[CPDXAI]/[0-9]{4}[A-Z]{1,2}[0-9]{0,3}(-[A-Z])?", re.IGNORECASE)


@dataclass(frozen=True)
class Asteroid:
    """A Solar System object.

    Parameters
    ----------
    ssnamenr : str
        Its name in ZTF's packets.
    name : str, optional
        Its proper name or designation.
    number : int, optional
        Its number.
    """

    ssnamenr: str
    name: str | None
    number: int | None


def find_asteroids(stores: Stores, sought: str) -> list[Asteroid]:
    """Find the objects that a name or a number may mean; none if it means nothing.

    A number, a provisional designation or a comet's designation is its own name in ZTF's packets, so it is understood
    without a table too.

    Parameters
    ----------
    stores : Stores
        Where the tables are.
    sought : str
        As people write it.
    """
    plain = sought.replace(" ", "")
    found: dict[str, Asteroid] = {}
    for name in dict.fromkeys((sought.strip(), plain)):
        for row in asteroid_rows(stores, name, exact=True, most=100).to_pylist():
            found[row["i:ssnamenr"]] = Asteroid(*(row[column] for column in SSO_COLUMNS))
    if found:
        return list(found.values())
    if _NUMBER.fullmatch(plain):
        return [Asteroid(str(int(plain)), None, int(plain))]
    if _DESIGNATION.fullmatch(plain) or _COMET.fullmatch(plain):
        return [Asteroid(plain.upper(), plain.upper(), None)]
    return []


def asteroid_rows(stores: Stores, name: str, exact: bool, most: int) -> pa.Table:
    """Read the table of asteroids: those called so, or whose names begin so.

    Raises
    ------
    TransientError
        If HBase is away, and there is an archive.
    """
    # an object stands in the table under each of its names
    found = _rows(stores, SSO_TABLE, (), name, exact, NAMES_EACH * most)
    first: dict[str, int] = {}
    for place, name_there in enumerate(found.column(SSO_COLUMNS[0]).to_pylist()):
        first.setdefault(name_there, place)
    return found.take(pa.array(list(first.values()), pa.int64())).slice(0, most)


def transient_rows(stores: Stores, by: str, name: str, exact: bool, most: int) -> pa.Table:
    """Read the table of transients.

    Parameters
    ----------
    stores : Stores
        Where the tables are.
    by : str
        ``fullname``, or ``internalname`` for what surveys call them.
    name : str
        The name, or its beginning; in any case of letters. Empty for all.
    exact : bool
        Whether the name is whole.
    most : int
        How many rows.
    """
    return _rows(stores, TNS_TABLE, (by,), name, exact, most)


def _rows(stores: Stores, table: str, values: Sequence[str], name: str, exact: bool, most: int) -> pa.Table:
    try:
        with stores.archive(table).borrow() as (_, reader):
            return _some(reader, values, name, exact, most)
    except TransientError:
        if stores.archived_nights():
            raise
        # an installation that has archived nothing yet has no tables of names
        LOG.info("no table %s yet: names are taken as they are written", table)
        return stores.empty_archive_rows(table)


def _some(reader: ArchiveReader, values: Sequence[str], name: str, exact: bool, most: int) -> pa.Table:
    chunks: Iterator[pa.Table]
    if exact and name:
        chunks = reader.read(*values, name, chunk=most)
    else:
        chunks = reader.read(*values, begins=name, chunk=max(most, 1))
    parts, number = [reader.decode([])], 0
    for chunk in islice(chunks, 0, None):
        parts.append(chunk)
        number += chunk.num_rows
        if number >= most:
            break
    return pa.concat_tables(parts, promote_options="permissive").slice(0, most)
