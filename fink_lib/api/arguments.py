"""The arguments of an endpoint: declared once, read from a query or a JSON body, described in OpenAPI.

Values come as text or as numbers, with blanks around them; clients send both. A value that cannot be read is the
client's error and says so; it never reaches the code behind.
"""

from __future__ import annotations

import ast
import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from fink_lib.api.problems import ApiError, ArgumentFault, bad_argument, missing_argument

Kind = Literal["text", "list", "integer", "number", "boolean", "night", "date", "choice", "file"]

MAX_TEXT = 10_000
MAX_LIST = 1_000
MAX_ROWS = 10_000
MJD_ZERO_JD = 2_400_000.5
LATEST_JD = 2_500_000.5
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNIX_EPOCH_JD = 2_440_587.5
TRUE = frozenset({"true", "1"})
FALSE = frozenset({"false", "0", ""})


@dataclass(frozen=True)
class Argument:
    """One argument of an endpoint.

    Parameters
    ----------
    name : str
        As clients write it.
    doc : str
        One or two sentences for the OpenAPI page.
    kind : Kind
        How its value is read. ``list`` is text separated by commas; ``night`` is YYYYMMDD or YYYY-MM-DD; ``date`` is
        ISO, JD or MJD and becomes a Julian date; ``file`` is bytes: an uploaded part, base64, or a bytes literal.
    required : bool
        Whether a request without it is refused.
    default : object
        Value without it.
    choices : sequence of str
        Allowed values of a ``choice``.
    least, most : float
        Range of a number, both ends included.
    example : object
        Shown in the OpenAPI page.
    in_path : bool
        True for a part of the address.
    """

    name: str
    doc: str
    kind: Kind = "text"
    required: bool = False
    default: Any = None
    choices: Sequence[str] = ()
    least: float | None = None
    most: float | None = None
    example: Any = None
    in_path: bool = False

    def read(self, raw: Any) -> Any:
        """Turn what the client sent into the argument's value.

        Raises
        ------
        ApiError
            If the value does not fit.
        """
        if self.kind == "list":
            return self._list(raw)
        if self.kind == "file":
            return self._file(raw)
        text = self._text(raw)
        if self.kind == "boolean":
            return self._boolean(text)
        if text == "" and not self.required and self.kind != "text":
            return self.default
        if self.kind == "integer":
            return int(self._number(text, whole=True))
        if self.kind == "number":
            return self._number(text, whole=False)
        if self.kind == "night":
            return read_night(self.name, text)
        if self.kind == "date":
            return read_date(self.name, text)
        if self.kind == "choice":
            return self._choice(text)
        return text

    def _text(self, raw: Any) -> str:
        if isinstance(raw, bool | int | float):
            return str(raw)
        if not isinstance(raw, str):
            raise bad_argument(self.name, "must be text or a number")
        if len(raw) > MAX_TEXT:
            raise bad_argument(self.name, f"must not be longer than {MAX_TEXT} characters")
        try:
            raw.encode()  # JSON may hold halves of a surrogate pair, which no encoding takes
        except UnicodeEncodeError:
            raise bad_argument(self.name, "must be valid Unicode") from None
        return raw.strip()

    def _list(self, raw: Any) -> tuple[str, ...]:
        parts = raw if isinstance(raw, list) else self._text_of_list(raw)
        if len(parts) > MAX_LIST:
            raise bad_argument(self.name, f"must not hold more than {MAX_LIST} values")
        values = (self._text(part) for part in parts)
        return tuple(dict.fromkeys(value for value in values if value))

    def _text_of_list(self, raw: Any) -> list[str]:
        if isinstance(raw, str):
            return raw.split(",")  # a list may be longer than a text; its parts may not
        return self._text(raw).split(",")

    def _file(self, raw: Any) -> bytes:
        if isinstance(raw, bytes):
            return raw
        if not isinstance(raw, str) or not raw.strip():
            raise bad_argument(self.name, "must be a file, as an uploaded part or as base64")
        text = raw.strip()
        try:
            if text[:1] in "bB" and text[1:2] in ("'", '"'):
                literal = ast.literal_eval(text)  # scripts send Python's text of the bytes; nothing is evaluated
                if isinstance(literal, bytes):
                    return literal
            return base64.b64decode(text, validate=True)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise bad_argument(self.name, "must be a file, as an uploaded part or as base64") from None

    def _boolean(self, text: str) -> bool:
        word = text.strip("\"'").lower()
        if word in TRUE:
            return True
        if word in FALSE:
            return False
        raise bad_argument(self.name, "must be true or false")

    def _number(self, text: str, whole: bool) -> float:
        what = "a whole number" if whole else "a number"
        try:
            value = int(text) if whole and re.fullmatch(r"[+-]?[0-9]{1,19}", text) else float(text)
        except ValueError:
            raise bad_argument(self.name, f"must be {what}") from None
        if not math.isfinite(value) or (whole and value != int(value)):
            raise bad_argument(self.name, f"must be {what}")
        if (self.least is not None and value < self.least) or (self.most is not None and value > self.most):
            raise bad_argument(self.name, f"must be between {_plain(self.least)} and {_plain(self.most)}")
        return value

    def _choice(self, text: str) -> str:
        for choice in self.choices:
            if text.lower() == choice.lower():
                return choice
        raise bad_argument(self.name, f"must be one of {', '.join(self.choices)}")

    def schema(self) -> dict[str, Any]:
        """Give the argument's JSON schema."""
        kind: dict[str, Any] = {"type": "string"}
        if self.kind in ("integer", "number", "boolean"):
            kind = {"type": self.kind}
        if self.kind == "choice":
            kind["enum"] = list(self.choices)
        if self.kind == "night" and self.in_path:
            kind["pattern"] = "^[0-9]{8}$"
        if self.least is not None:
            kind["minimum"] = self.least
        if self.most is not None:
            kind["maximum"] = self.most
        if self.default not in (None, ()):
            kind["default"] = self.default
        if self.example is not None:
            kind["examples"] = [self.example]
        return kind


def read_arguments(declared: Sequence[Argument], given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Read all arguments of a request.

    Parameters
    ----------
    declared : sequence of Argument
        What the endpoint takes.
    given : mapping
        What the client sent, by name.

    Returns
    -------
    values : dict
        A value for each declared argument.
    ignored : list of str
        Names that the client sent and the endpoint does not take.

    Raises
    ------
    ApiError
        For the first argument that is missing or cannot be read.
    """
    values: dict[str, Any] = {}
    for argument in declared:
        raw = given.get(argument.name)
        if raw is None:
            if argument.required:
                raise missing_argument(argument.name)
            values[argument.name] = argument.default
        else:
            values[argument.name] = argument.read(raw)
    names = {argument.name for argument in declared}
    return values, [name for name in given if name not in names]


def read_night(name: str, text: str) -> str:
    """Read a night given as YYYYMMDD or YYYY-MM-DD.

    Raises
    ------
    ApiError
        If it is no date of the calendar.
    """
    digits = text.replace("-", "")
    if re.fullmatch(r"[0-9]{8}", digits):
        try:
            date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        except ValueError:
            pass
        else:
            return digits
    reason = "must be a night YYYYMMDD"
    raise ApiError("bad-night", f"`{name}` {reason}.\n", (ArgumentFault(name, reason),))


def read_date(name: str, text: str) -> float:
    """Read a date as ISO text (UTC if it names no zone), Julian date or modified Julian date; gives JD (UTC, days).

    Raises
    ------
    ApiError
        If it is none, or not between 1858 and 2132.
    """
    jd = math.nan
    try:
        jd = float(text)
        if 0 <= jd <= LATEST_JD - MJD_ZERO_JD:
            jd += MJD_ZERO_JD
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            jd = (moment - UNIX_EPOCH).total_seconds() / 86_400 + UNIX_EPOCH_JD
        except (ValueError, OverflowError):
            pass
    if not MJD_ZERO_JD <= jd <= LATEST_JD:
        raise bad_argument(name, "must be a date: ISO (UTC), JD or MJD")
    return jd


def _plain(limit: float | None) -> str:
    return "any" if limit is None else str(limit)
