"""Tokens for the tests of what changes something."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from fink_lib.api.auth.tokens import SCOPES, create_token
from fink_lib.community.store import Store
from fink_lib.config import Settings


def header(
    settings: Settings, owner: str, scopes: Iterable[str] = tuple(set(SCOPES) - {"admin"}), days: int = 1
) -> dict[str, str]:
    """Make a token and give the header that shows it."""
    store = Store(settings.home)
    _, secret = create_token(store, owner, scopes, datetime.now(UTC), days)
    store.close()
    return {"Authorization": f"Token {secret}"}
