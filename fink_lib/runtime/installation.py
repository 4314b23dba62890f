"""What an installation knows about itself from its first day on."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fink_lib.runtime.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fink_lib.config import Settings


def install_date(settings: Settings) -> str:
    """Day on which this installation was first used, ``YYYY-MM-DD`` (UTC). Nightly runs catch up from that day."""
    path = settings.home / "install.json"
    known = read_json(path)
    if known is None or "date" not in known:
        known = {"date": datetime.now(UTC).strftime("%Y-%m-%d")}
        write_json(path, known)
    return str(known["date"])


def keep_secrets(path: Path, names: Iterable[str], length: int = 32) -> dict[str, str]:
    """Random words under the given names, made once and kept in a file that only its owner may read."""
    known = read_json(path) or {}
    missing = [name for name in names if not known.get(name)]
    if missing:
        known |= {name: secrets.token_urlsafe(length) for name in missing}
        write_json(path, known)
    path.chmod(0o600)
    return {name: str(known[name]) for name in names}
