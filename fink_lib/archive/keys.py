"""The grammar of row keys.

A key is a list of parts joined by ``_``. Numbers have a fixed width, so that keys sort as their values do; text has
its own underscores escaped, so that a key can always be taken apart again and the prefix ``<text>_`` belongs to one
text only. Keys that would begin with a class or a time begin with a salt, so that one night does not fill one region;
a reader asks for every salt and merges.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fink_lib.errors import DataError

SEPARATOR = "_"
AFTER_SEPARATOR = "`"
"""The character that follows the separator: ``<prefix>_`` and all that begins with it lies before ``<prefix>```."""
LAST = b"\xff"
"""Greater than any byte of a key."""
ID_DIGITS = 19
JD_DECIMALS = 7
JD_LEAST, JD_END = 1e6, 1e7
_ESCAPES = (("%", "%25"), (SEPARATOR, "%5F"), ("\t", "%09"), ("\n", "%0A"))
SALTS = 8
SALT_DIGITS = 2


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
    """A name. ``%``, ``_``, tab and line end are written as ``%25``, ``%5F``, ``%09``, ``%0A``; few names hold any."""

    column: str

    def format(self, value: Any) -> str:
        """Write a name."""
        if not isinstance(value, str) or not value:
            raise DataError("bad_key", f"{self.column} is {value!r}; a row key needs a name")
        text = value
        for mark, written in _ESCAPES:
            if mark in text:
                text = text.replace(mark, written)
        return text

    def parse(self, text: str) -> str:
        """Read a name."""
        for mark, written in reversed(_ESCAPES):
            text = text.replace(written, mark)
        return text


@dataclass(frozen=True)
class LowerPart(TextPart):
    """A name in lower case: what people type is found however they type it."""

    def format(self, value: Any) -> str:
        """Write a name."""
        # Character by character, so that the beginning of a name is the beginning of its key.
        return super().format(value.casefold() if isinstance(value, str) else value)


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
    """A non-negative integer, padded with zeros; a 64-bit id has 19 digits."""

    column: str
    digits: int = ID_DIGITS

    def format(self, value: Any) -> str:
        """Write an id."""
        if not isinstance(value, int) or not 0 <= value < min(2**63, 10**self.digits):
            bits = "64-bit id" if self.digits == ID_DIGITS else f"number of {self.digits} digits"
            raise DataError("bad_key", f"{self.column} is {value!r}; a row key needs a non-negative {bits}")
        return f"{value:0{self.digits}d}"

    def parse(self, text: str) -> int:
        """Read an id."""
        return int(text)


@dataclass(frozen=True)
class SaltPart:
    """Two digits that spread rows evenly: an id modulo :data:`SALTS`, or the checksum of a name."""

    column: str

    def format(self, value: Any) -> str:
        """Write the salt of a value."""
        if isinstance(value, str):
            value = zlib.crc32(value.encode())
        if not isinstance(value, int):
            raise DataError("bad_key", f"{self.column} is {value!r}; a row key needs an id or a name")
        return f"{value % SALTS:0{SALT_DIGITS}d}"

    def parse(self, text: str) -> int:
        """Read a salt."""
        return int(text)


@dataclass(frozen=True)
class RowKey:
    """The grammar of one table's keys.

    Parameters
    ----------
    parts : sequence of KeyPart
        From left to right; a salt comes first.

    Examples
    --------
    >>> key = RowKey((TextPart("i:objectId"), JdPart("i:jd"), IdPart("i:candid")))
    >>> key.format(("ZTF18abcdefg", 2458451.7512345, 694251234515010012))
    b'ZTF18abcdefg_2458451.7512345_0694251234515010012'
    >>> key.parse(b'ZTF18abcdefg_2458451.7512345_0694251234515010012')
    ('ZTF18abcdefg', 2458451.7512345, 694251234515010012)
    >>> key.prefix("ZTF18abcdefg")
    b'ZTF18abcdefg_'
    >>> key.ranges("ZTF18abcdefg", low=2458451.0, high=2458452.0)
    [(b'ZTF18abcdefg_2458451.0000000', b'ZTF18abcdefg_2458452.0000000')]
    """

    parts: Sequence[KeyPart]

    @property
    def columns(self) -> tuple[str, ...]:
        """API names of the columns that a key is made of."""
        return tuple(part.column for part in self.parts)

    @property
    def salted(self) -> bool:
        """Whether keys begin with a salt."""
        return isinstance(self.parts[0], SaltPart)

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
        """Give the bytes with which all keys begin whose first parts are exactly `values`, a salt included."""
        pieces = [part.format(value) for part, value in zip(self.parts, values, strict=False)]
        return (SEPARATOR.join(pieces) + SEPARATOR).encode()

    def ranges(self, *values: Any, low: Any = None, high: Any = None, begins: str = "") -> list[tuple[bytes, bytes]]:
        """Give the ranges (first key, key behind the last one) in which rows with these values lie.

        Parameters
        ----------
        *values : object
            Values of the first parts, without the salt.
        low, high : object, optional
            Bounds of the part that follows, `low` included, `high` not; open without. Not for names.
        begins : str
            How the part that follows begins, for names, instead of bounds.

        Returns
        -------
        list of tuple of bytes
            One range, or one for each salt; within a range keys are in order.

        Raises
        ------
        DataError
            If a value has no place in a key.
        """
        parts = self.parts[1:] if self.salted else self.parts
        given = [part.format(value) for part, value in zip(parts, values, strict=False)]
        following = parts[len(given)] if len(given) < len(parts) else None
        salts = [f"{salt:0{SALT_DIGITS}d}" for salt in range(SALTS)] if self.salted else []
        found = []
        for salt in salts or [""]:
            before = SEPARATOR.join([*([salt] if salt else []), *given])
            head = before + SEPARATOR if before else ""
            start, stop = head.encode(), (before + AFTER_SEPARATOR).encode() if before else LAST
            if begins and following is not None:
                start = (head + following.format(begins)).encode()
                stop = start + LAST
            elif following is not None:
                start = (head + following.format(low)).encode() if low is not None else start
                stop = (head + following.format(high)).encode() if high is not None else stop
            found.append((start, stop))
        return found

    def order(self, key: bytes) -> bytes:
        """Give what rows of all salts are merged by: the key without its salt."""
        return key[SALT_DIGITS + 1 :] if self.salted else key
