"""The grammar of row keys.

A key is a list of parts joined by ``_``. Numbers have a fixed width, so that keys sort as their values do; text has
its own underscores escaped, so that a key can always be taken apart again and the prefix ``<text>_`` belongs to one
text only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fink_lib.errors import DataError

SEPARATOR = "_"
ID_DIGITS = 19
JD_DECIMALS = 7
JD_LEAST, JD_END = 1e6, 1e7


class KeyPart(Protocol):
    """One part of a key."""

    @property
    def column(self) -> str:
        """API name of the column that gives the value."""

    def format(self, value: Any) -> str:
        """Write a value; raises DataError if it has no place in a key."""

    def parse(self, text: str) -> Any:
        """Read what :meth:`format` wrote."""


@dataclass(frozen=True)
class TextPart:
    """A name. ``%`` and ``_`` are written as ``%25`` and ``%5F``; names of objects hold neither."""

    column: str

    def format(self, value: Any) -> str:
        """Write a name."""
        if not isinstance(value, str) or not value:
            raise DataError("bad_key", f"{self.column} is {value!r}; a row key needs a name")
        return value.replace("%", "%25").replace(SEPARATOR, "%5F")

    def parse(self, text: str) -> str:
        """Read a name."""
        return text.replace("%5F", SEPARATOR).replace("%25", "%")


@dataclass(frozen=True)
class JdPart:
    """A Julian date to 1e-7 d (8.6 ms), 15 characters."""

    column: str

    def format(self, value: Any) -> str:
        """Write a date in days."""
        if not isinstance(value, float) or not JD_LEAST <= value < JD_END - 1:
            raise DataError("bad_key", f"{self.column} is {value!r}; a row key needs a Julian date in days")
        return f"{value:.{JD_DECIMALS}f}"

    def parse(self, text: str) -> float:
        """Read a date in days."""
        return float(text)


@dataclass(frozen=True)
class IdPart:
    """A non-negative 64-bit id, padded to 19 digits."""

    column: str

    def format(self, value: Any) -> str:
        """Write an id."""
        if not isinstance(value, int) or not 0 <= value < 2**63:
            raise DataError("bad_key", f"{self.column} is {value!r}; a row key needs a non-negative 64-bit id")
        return f"{value:0{ID_DIGITS}d}"

    def parse(self, text: str) -> int:
        """Read an id."""
        return int(text)


@dataclass(frozen=True)
class RowKey:
    """The grammar of one table's keys.

    Parameters
    ----------
    parts : sequence of KeyPart
        From left to right.

    Examples
    --------
    >>> key = RowKey((TextPart("i:objectId"), JdPart("i:jd"), IdPart("i:candid")))
    >>> key.format(("ZTF18abcdefg", 2458451.7512345, 694251234515010012))
    b'ZTF18abcdefg_2458451.7512345_0694251234515010012'
    >>> key.parse(b'ZTF18abcdefg_2458451.7512345_0694251234515010012')
    ('ZTF18abcdefg', 2458451.7512345, 694251234515010012)
    >>> key.prefix("ZTF18abcdefg")
    b'ZTF18abcdefg_'
    """

    parts: Sequence[KeyPart]

    @property
    def columns(self) -> tuple[str, ...]:
        """API names of the columns that a key is made of."""
        return tuple(part.column for part in self.parts)

    def format(self, values: Sequence[Any]) -> bytes:
        """Write a key.

        Raises
        ------
        DataError
            If a value has no place in a key.
        """
        pieces = [part.format(value) for part, value in zip(self.parts, values, strict=True)]
        return SEPARATOR.join(pieces).encode()

    def parse(self, key: bytes) -> tuple[Any, ...]:
        """Take a key apart.

        Raises
        ------
        DataError
            If it was not made by this grammar.
        """
        pieces = key.decode().split(SEPARATOR)
        if len(pieces) != len(self.parts):
            raise DataError("bad_key", f"{key!r} has {len(pieces)} parts instead of {len(self.parts)}")
        return tuple(part.parse(piece) for part, piece in zip(self.parts, pieces, strict=True))

    def prefix(self, *values: Any) -> bytes:
        """Give the bytes with which all keys begin whose first parts are exactly `values`."""
        pieces = [part.format(value) for part, value in zip(self.parts, values, strict=False)]
        return (SEPARATOR.join(pieces) + SEPARATOR).encode()
