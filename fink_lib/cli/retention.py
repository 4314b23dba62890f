"""``fink retention``: remove what nobody needs any more, or say what that would be."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from fink_lib.cli.output import progress_lines, show_table
from fink_lib.config import load_settings


def register(app: typer.Typer) -> None:
    """Add the command to the ``fink`` application."""
    app.command("retention")(retention)


def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    survey: Annotated[str, typer.Option("--survey", help="Whose lake.")] = "ztf",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Remove old versions of the lake's files and old logs of tasks; never a row."""
    from fink_lib.lake import open_lake
    from fink_lib.nightly.retention import clean

    settings = load_settings()
    with progress_lines("retention", to_stderr=as_json) as tell:
        done = clean(settings, open_lake(settings, survey), datetime.now(UTC), dry_run, tell)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in done], indent=2))
        return
    rows = [
        [one.what, one.files, f"{one.size_bytes / 1e6:.1f}" if one.size_bytes else "", one.kept_for] for one in done
    ]
    show_table("", ["where", "files to remove" if dry_run else "files removed", "MB", "nothing, because"], rows)
