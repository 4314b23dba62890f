"""``fink replay``: make a night again beside the live one, see what it would change, promote it or throw it away."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fink_lib.cli.output import progress_lines, show_table
from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, ConfigError

Night = Annotated[str, typer.Argument(help="The night, YYYYMMDD.")]
SurveyName = Annotated[str, typer.Option("--survey", help="Whose night.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Start = Annotated[str, typer.Option("--from", help="From which table: raw or science.")]
Pins = Annotated[
    list[str] | None,
    typer.Option("--pin", help="catalog.NAME=VERSION, model.NAME=VERSION, MODULE=VERSION, or live; may be repeated."),
]


class NightOrCommand(TyperGroup):
    """Takes ``fink replay 20240312`` for ``fink replay run 20240312``."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        """Put the command in front of a night."""
        if args and re.fullmatch(r"\d{8}", args[0]):
            args = ["run", *args]
        return super().parse_args(context, args)


def register(app: typer.Typer) -> None:
    """Add the commands to the ``fink`` application."""
    commands = typer.Typer(
        cls=NightOrCommand,
        help="Make a night again: `fink replay NIGHT`, then show, promote or discard.",
        no_args_is_help=True,
    )
    commands.command("run")(run)
    commands.command("show")(show)
    commands.command("list")(list_)
    commands.command("promote")(promote)
    commands.command("discard")(discard)
    app.add_typer(commands, name="replay")


def run(
    night: Night, start: Start = "raw", pin: Pins = None, survey: SurveyName = "ztf", as_json: AsJson = False
) -> None:
    """Make a night again beside the live one, and report what it would change; nothing live is touched."""
    from fink_lib.nightly.replay.make import replay_night

    settings = load_settings()
    with progress_lines(f"replay of night {night}", to_stderr=as_json) as tell:
        told = replay_night(settings, survey, night, start, tuple(pin or ()), tell)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    _show(told)
    typer.echo(f"Report: {told['report']}")
    typer.echo(f"Then: fink replay promote {night}, or fink replay discard {night}")


def show(night: Night, survey: SurveyName = "ztf", as_json: AsJson = False) -> None:
    """Show the report of a replay again."""
    from fink_lib.nightly.replay.record import replay_dir
    from fink_lib.runtime.files import read_json

    told = read_json(replay_dir(load_settings(), survey, night) / "difference.json")
    if told is None:
        raise ConfigError(f"there is no report of a replay of night {night}; make one: fink replay {night}")
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(told)


def list_(survey: SurveyName = "ztf", as_json: AsJson = False) -> None:
    """List the replays that there are or were, by night."""
    from dataclasses import asdict

    from fink_lib.nightly.replay.record import list_replays

    found = list_replays(load_settings(), survey)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    rows = [
        [one.night, one.state, one.start, ", ".join(f"{name} {text}" for name, text in one.pins.items()), one.began]
        for one in found
    ]
    show_table("", ["night", "state", "from", "pins", "began"], rows)


def promote(night: Night, survey: SurveyName = "ztf", as_json: AsJson = False) -> None:
    """Let the replay of a night stand for it: lake, archive, topics; may be repeated until it is done."""
    _stage(night, "promote", survey, as_json)


def discard(night: Night, survey: SurveyName = "ztf", as_json: AsJson = False) -> None:
    """Throw the replay of a night away."""
    _stage(night, "discard", survey, as_json)


def _stage(night: str, stage: str, survey: str, as_json: bool) -> None:
    from fink_lib.nightly.runner import run_stage

    with progress_lines(f"{stage} night {night}", to_stderr=as_json) as tell:
        told = run_stage(load_settings(), survey, night, stage, progress=tell)
    typer.echo(json.dumps(told, indent=2) if as_json else told["message"])
    if not told["ok"]:
        raise typer.Exit(EXIT_FAILED)


def _show(told: dict[str, Any]) -> None:
    from fink_lib.nightly.replay.make import sentence
    from fink_lib.nightly.replay.report import sections

    typer.echo(f"{sentence(told['night'], told)}.")
    for title, headings, rows in sections(told):
        if title != "First alerts":
            show_table(f"\n{title}", headings, rows)
