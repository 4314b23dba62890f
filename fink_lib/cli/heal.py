"""``fink heal``: compute further what could not be computed in full, and tell users."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from fink_lib.cli.output import progress_lines
from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED


def register(app: typer.Typer) -> None:
    """Add the command to the ``fink`` application."""
    app.command("heal")(heal)


def heal(
    night: Annotated[str, typer.Option(help="Heal this night only, YYYYMMDD.")] = "",
    nights: Annotated[int | None, typer.Option(help="Heal so many last nights; from settings.", min=1)] = None,
    survey: Annotated[str, typer.Option("--survey", help="Whose nights.")] = "ztf",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute alerts further whose catalogue, model or service was away, and send what follows from it."""
    from fink_lib.nightly.runner import run_stage

    settings = load_settings()
    if nights is not None:
        settings = settings.model_copy(update={"nightly": settings.nightly.model_copy(update={"heal_nights": nights})})
    verdicts: list[dict[str, Any]] = []
    with progress_lines("heal", to_stderr=as_json) as tell:
        chosen = [night]
        if not night:
            today = datetime.now(UTC).strftime("%Y%m%d")
            chosen = run_stage(settings, survey, today, "healable")["nights"]
        for place, one in enumerate(chosen, start=1):
            tell(f"night {one}: {place} of {len(chosen)}")
            verdicts.append(run_stage(settings, survey, one, "heal", progress=tell))
            if not as_json:
                tell(verdicts[-1]["message"])
    if as_json:
        typer.echo(json.dumps(verdicts, indent=2))
    elif not chosen:
        typer.echo("No night may be healed: none is closed or archived.")
    if not all(verdict["ok"] for verdict in verdicts):
        raise typer.Exit(EXIT_FAILED)
