"""Values inside a body: read once, so that what is kept is clean text and finite numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fink_lib.community.refusals import RefusedError, refuse_argument

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
_ZTF = re.compile(r"ZTF[0-9]{2}[a-z]{7}")
MOST_DEPTH = 20


def read_text(name: str, raw: Any, most: int, required: bool = False, default: str = "") -> str:
    """Read a text.

    Parameters
    ----------
    name : str
        What it is called.
    raw : object
        What the client sent; None if nothing.
    most : int
        Characters that it may have.
    required : bool
        Whether it must hold something.
    default : str
        Value if nothing was sent.

    Raises
    ------
    RefusedError
        If it is no text, too long, empty or no valid Unicode, or holds control characters.
    """
    if raw is None:
        raw = default
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        raw = str(raw)
    if not isinstance(raw, str):
        raise refuse_argument(name, "must be text")
    text = raw.strip()
    if required and not text:
        raise refuse_argument(name, "must not be empty")
    if len(text) > most:
        raise refuse_argument(name, f"must not be longer than {most} characters")
    if _CONTROL.search(text):
        raise refuse_argument(name, "must not hold control characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise refuse_argument(name, "must be valid Unicode") from None
    return text


def read_name(name: str, raw: Any) -> str:
    """Read a short name: letters, digits and ``_ . + -``, a letter or digit first."""
    text = read_text(name, raw, 64, required=True)
    if not _NAME.fullmatch(text):
        raise refuse_argument(name, "must be up to 64 letters, digits and _ . + -, a letter or digit first")
    return text


def read_object_id(name: str, raw: Any, survey: str = "ztf") -> str:
    """Read the name of an object of a survey."""
    text = read_text(name, raw, 64, required=True)
    if survey == "ztf" and not _ZTF.fullmatch(text):
        raise refuse_argument(name, "must be the name of an object, such as ZTF21abiuvdk")
    if not _NAME.fullmatch(text):
        raise refuse_argument(name, "must be the name of an object")
    return text


def read_url(name: str, raw: Any) -> str:
    """Read an address of the web; empty if there is none."""
    text = read_text(name, raw, 1000)
    if not text:
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise refuse_argument(name, "must be an address that begins with https:// or http://") from None
    if parts.scheme not in ("http", "https") or not parts.netloc or re.search(r"[\s<>\"']", text):
        raise refuse_argument(name, "must be an address that begins with https:// or http://")
    return text


def read_number(name: str, raw: Any, least: float, most: float) -> float:
    """Read a finite number within a range, both ends included."""
    if isinstance(raw, str):
        try:
            raw = float(raw)
        except ValueError:
            raise refuse_argument(name, "must be a number") from None
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise refuse_argument(name, "must be a number")
    if not math.isfinite(raw) or not least <= raw <= most:
        raise refuse_argument(name, f"must be between {least:g} and {most:g}")
    return float(raw)


def read_object(name: str, raw: Any, most_characters: int) -> dict[str, Any]:
    """Read a JSON object, or the text of one."""
    if isinstance(raw, str):
        if not raw.strip():
            return {}
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            raise refuse_argument(name, "must be a JSON object") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise refuse_argument(name, "must be a JSON object")
    if _depth(raw) > MOST_DEPTH:
        raise refuse_argument(name, f"must not be nested deeper than {MOST_DEPTH}")
    try:
        text = json.dumps(raw, allow_nan=False)
        json.dumps(raw, ensure_ascii=False).encode()
    except (ValueError, UnicodeEncodeError):
        raise refuse_argument(name, "must hold finite numbers and valid Unicode only") from None
    if len(text) > most_characters:
        raise RefusedError("too-large", f"`{name}` must not be longer than {most_characters} characters", name)
    return dict(raw)


def read_fields(name: str, raw: Any) -> Mapping[str, Any]:
    """Read one object of a list."""
    if not isinstance(raw, dict):
        raise refuse_argument(name, "must be a JSON object")
    return raw


def _depth(value: Any) -> int:
    """Depth of a value that was read from JSON; such a value has no loops."""
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return deepest
