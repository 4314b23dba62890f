"""Tokens: a name and a secret, of which the broker keeps a hash.

A token is ``fink_<id>_<secret>``. The id says which row to look at and is no secret; the secret is 256 random bits, so
its SHA-256 cannot be guessed backwards and needs no salt.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fink_lib.community.store import Row, Store, text_of
from fink_lib.errors import ConfigError

SCOPES = {
    "annotate": "annotate objects and classify them",
    "metadata": "give objects names and comments",
    "filter": "write, backtest and activate filters",
    "watchlist": "keep watchlists",
    "transfer": "ask for bulk transfers and cross-matches",
    "admin": "change what others own",
}
"""What a token may be good for."""

MOST_DAYS = 3650
_TOKEN = re.compile(r"fink_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
# compared with when there is no such token, so that both ways take the same steps
_NOTHING = hashlib.sha256(b"").digest()


@dataclass(frozen=True)
class Token:
    """A token as the broker knows it, without its secret.

    Parameters
    ----------
    id : str
        Its public part.
    owner : str
        Whose it is.
    scopes : tuple of str
        Names from :data:`SCOPES`.
    note : str
        What it is for.
    created, expires, revoked : str
        Times (ISO, UTC); `revoked` is empty while nobody took it back.
    """

    id: str
    owner: str
    scopes: tuple[str, ...]
    note: str
    created: str
    expires: str
    revoked: str

    def state(self, now: datetime) -> str:
        """``valid``, ``expired`` or ``revoked``."""
        if self.revoked:
            return "revoked"
        return "expired" if self.expires <= text_of(now) else "valid"

    def to_json(self, now: datetime) -> dict[str, Any]:
        """Give everything as plain values."""
        return {**self.__dict__, "scopes": list(self.scopes), "state": self.state(now)}


def create_token(
    store: Store, owner: str, scopes: Iterable[str], now: datetime, days: int, note: str = ""
) -> tuple[Token, str]:
    """Make a token.

    Parameters
    ----------
    store : Store
        Keeps its hash.
    owner : str
        Whose it is: letters, digits, ``. _ @ -``.
    scopes : iterable of str
        Names from :data:`SCOPES`, at least one.
    now : datetime
        The present time.
    days : int
        How long it is good for.
    note : str
        What it is for.

    Returns
    -------
    token : Token
    secret : str
        The whole text that its owner sends. It cannot be had again.

    Raises
    ------
    ConfigError
        If the owner, a scope or the time cannot be used.
    """
    wanted = tuple(sorted(set(scopes)))
    if not _OWNER.fullmatch(owner):
        raise ConfigError(
            f"{owner!r} cannot own a token; take up to 64 letters, digits and . _ @ -, a letter or digit first"
        )
    unknown = sorted(set(wanted) - set(SCOPES))
    if unknown or not wanted:
        raise ConfigError(f"a token needs scopes out of {', '.join(SCOPES)}; not {', '.join(unknown) or 'none'}")
    if not 0 < days <= MOST_DAYS:
        raise ConfigError(f"a token is good for 1 to {MOST_DAYS} days, not {days}")
    identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    expires = text_of(now + timedelta(days=days))
    made = Token(identity, owner, wanted, " ".join(note.split())[:200], text_of(now), expires, "")
    with store.transaction() as change:
        change.add(
            "tokens", id=made.id, hash=_hash(secret), owner=owner, scopes=" ".join(wanted), note=made.note,
            created=made.created, expires=expires,
        )  # fmt: skip
    return made, f"fink_{identity}_{secret}"


def list_tokens(store: Store) -> list[Token]:
    """Give all tokens, the newest first."""
    return [_token(row) for row in store.rows("SELECT * FROM tokens ORDER BY created DESC, id")]


def revoke_token(store: Store, identity: str, now: datetime) -> Token:
    """Take a token back; from now on it is refused, in every process.

    Raises
    ------
    ConfigError
        If there is none of this id.
    """
    with store.transaction() as change:
        change.run("UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL", text_of(now), identity)
        row = change.row("SELECT * FROM tokens WHERE id = ?", identity)
    if row is None:
        raise ConfigError(f"no token has the id {identity!r}; `fink token list` shows those that there are")
    return _token(row)


def find_token(store: Store, text: str, now: datetime) -> Token | None:
    """Give the token that a text is the secret of; None if it is none, expired or revoked.

    Parameters
    ----------
    store : Store
        Keeps the hashes.
    text : str
        What a client sent.
    now : datetime
        The present time.
    """
    parts = _TOKEN.fullmatch(text)
    if parts is None:
        return None
    row = store.row("SELECT * FROM tokens WHERE id = ?", parts[1])
    right = hmac.compare_digest(_hash(parts[2]), _NOTHING if row is None else bytes(row["hash"]))
    if row is None or not right:
        return None
    token = _token(row)
    return token if token.state(now) == "valid" else None


def identity_in(text: str) -> str:
    """Give the public part of what looks like a token, for the log; empty if it does not."""
    parts = _TOKEN.fullmatch(text)
    return "" if parts is None else parts[1]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _token(row: Row) -> Token:
    return Token(
        row["id"], row["owner"], tuple(row["scopes"].split()), row["note"], row["created"], row["expires"],
        row["revoked"] or "",
    )  # fmt: skip
