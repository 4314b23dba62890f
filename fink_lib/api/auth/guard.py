"""The door: what a request shows, whether it may pass, and what is noted about it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from fink_lib.api.auth.audit import Audit
from fink_lib.api.auth.rates import Rates
from fink_lib.api.auth.tokens import SCOPES, Token, find_token, identity_in
from fink_lib.api.problems import ApiError
from fink_lib.community.refusals import RefusedError
from fink_lib.community.store import Store
from fink_lib.config import Settings

SCHEMES = ("token", "bearer")
CHALLENGE = {"WWW-Authenticate": 'Token realm="fink", Bearer realm="fink"'}


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Parameters
    ----------
    owner : str
        Of the token.
    token : str
        Public part of the token.
    scopes : frozenset of str
        What it is good for.
    address : str
        Where the request came from.
    """

    owner: str
    token: str
    scopes: frozenset[str]
    address: str

    @property
    def is_admin(self) -> bool:
        """Whether it may change what others own."""
        return "admin" in self.scopes

    def may_change(self, owner: str) -> bool:
        """Tell whether it may change what somebody owns."""
        return owner == self.owner or self.is_admin

    def insist(self, owner: str, what: str) -> None:
        """Refuse if it may not change what somebody owns.

        Raises
        ------
        RefusedError
            Then.
        """
        if not self.may_change(owner):
            raise RefusedError("not-owner", f"{what} belongs to somebody else")


class Guard:
    """Lets requests in.

    Parameters
    ----------
    settings : Settings
        The installation.
    store : Store
        Knows the tokens.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._limits = settings.api
        self._store = store
        self._rates = Rates(settings.home)
        self.audit = Audit(settings.home)

    def admit(self, authorization: str, address: str, scope: str, operation: str) -> Caller:
        """Let a request in, or refuse it.

        Parameters
        ----------
        authorization : str
            The header; empty if there is none.
        address : str
            Where the request came from.
        scope : str
            What the token has to be good for; empty for any valid one.
        operation : str
            For the log.

        Raises
        ------
        ApiError
            401 without a valid token, 403 if it lacks the scope, 429 if there were too many requests.
        """
        if not authorization:
            raise _unauthorized("This needs a token: send the header `Authorization: Token fink_...`")
        token = self._token_of(authorization, address, operation)
        if scope and scope not in token.scopes:
            self._refuse(token, address, operation, f"scope {scope} missing")
            raise ApiError(
                "forbidden", f"The token lacks the scope `{scope}`, which lets {SCOPES[scope]}.\n", status=403
            )
        self._draw(f"token {token.id}", self._limits.writes_per_min, "with this token")
        return Caller(token.owner, token.id, frozenset(token.scopes), address)

    def know(self, authorization: str, address: str, operation: str) -> Caller | None:
        """Tell who asks, if a token is shown at all; for what everybody may read and some see more of.

        Raises
        ------
        ApiError
            401 if what is shown is no valid token, 429 if that was tried too often.
        """
        if not authorization:
            return None
        token = self._token_of(authorization, address, operation)
        return Caller(token.owner, token.id, frozenset(token.scopes), address)

    @contextmanager
    def noted(self, caller: Caller, operation: str, path: str) -> Iterator[None]:
        """Keep in the log what is done inside, and how it ends."""
        who = {"owner": caller.owner, "token": caller.token, "address": caller.address}
        request = self.audit.note(_now(), "asked", operation=operation, path=path, **who)
        try:
            yield
        except (ApiError, RefusedError) as refusal:
            self.audit.note(_now(), "refused", request, operation=operation, reason=str(refusal), **who)
            raise
        except Exception as error:
            self.audit.note(_now(), "failed", request, operation=operation, reason=type(error).__name__, **who)
            raise
        self.audit.note(_now(), "done", request, operation=operation, path=path, **who)

    def close(self) -> None:
        """Close the files."""
        self._rates.close()

    def _token_of(self, authorization: str, address: str, operation: str) -> Token:
        scheme, _, text = authorization.strip().partition(" ")
        text = text.strip()
        self._draw(f"address {address}", self._limits.address_writes_per_min, "from this address")
        if scheme.lower() not in SCHEMES:
            raise _unauthorized("The header has to be `Authorization: Token fink_...` or `Bearer fink_...`")
        token = find_token(self._store, text, _now())
        if token is None:
            self._draw(f"guesses {address}", self._limits.guesses_per_min, "with wrong tokens")
            self.audit.note(
                _now(),
                "refused",
                operation=operation,
                address=address,
                token=identity_in(text),
                reason="no valid token",
            )
            raise _unauthorized("The token is not known, expired or revoked")
        return token

    def _refuse(self, token: Token, address: str, operation: str, reason: str) -> None:
        self.audit.note(
            _now(), "refused", operation=operation, owner=token.owner, token=token.id, address=address, reason=reason
        )

    def _draw(self, name: str, per_min: int, words: str) -> None:
        wait_s = math.ceil(self._rates.take(name, per_min, time.time()))
        if wait_s:
            text = f"There were too many requests {words}; {per_min} a minute are allowed, come back in {wait_s} s.\n"
            raise ApiError("too-many", text, status=429, headers={"Retry-After": str(wait_s)})


def _unauthorized(sentence: str) -> ApiError:
    return ApiError("unauthorized", f"{sentence}; `fink token create` makes one.\n", status=401, headers=CHALLENGE)


def _now() -> datetime:
    return datetime.now(UTC)
