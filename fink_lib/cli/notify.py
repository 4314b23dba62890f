"""``fink notify``: what was told to people, what waits to be, and whether the ways to them work."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from fink_lib.cli.output import show_table
from fink_lib.config import load_settings
from fink_lib.runtime.notify import channels_of, tell
from fink_lib.runtime.outbox import Message, Outbox

KEPT_DAYS = 90


def register(app: typer.Typer) -> None:
    """Add the command group to the ``fink`` application."""
    group = typer.Typer(no_args_is_help=True, help="Notifications: see docs/operations.md.")
    group.command("list")(list_messages)
    group.command("deliver")(deliver)
    group.command("test")(test)
    app.add_typer(group, name="notify")


def list_messages(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what was told, and which channel has not taken it yet."""
    settings = load_settings()
    names = list(channels_of(settings))
    found = list(Outbox(settings.home).messages())
    if as_json:
        typer.echo(json.dumps([{"id": one.id, **asdict(one)} for one in found], indent=2))
        return
    if not found:
        typer.echo("Nothing was told yet.")
        return
    rows = [
        [
            datetime.fromtimestamp(one.created_s, UTC).strftime("%Y-%m-%d %H:%M"),
            one.subject,
            one.met,
            ", ".join(one.taken_by),
            ", ".join(name for name in names if name not in one.taken_by),
        ]
        for one in found
    ]
    show_table("", ["UTC", "what", "met", "taken by", "waits for"], rows)


def deliver() -> None:
    """Hand over what waits, and forget what is older than three months."""
    settings = load_settings()
    outbox = Outbox(settings.home)
    forgotten = outbox.forget(KEPT_DAYS * 86400.0)
    taken = outbox.deliver(channels_of(settings))
    typer.echo(f"{taken} handed over, {forgotten} old ones forgotten")


def test() -> None:
    """Send a test message through every channel that is configured."""
    settings = load_settings()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = f"A test message of the installation in {settings.home}, sent by hand."
    tell(settings, Message(f"test {time.time()}", f"Fink: test of notifications, {now}", text))
    typer.echo(f"sent through: {', '.join(channels_of(settings))}")
