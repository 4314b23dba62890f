"""``fink night``: list nights, run the nightly chain, read a night's summary and ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fink_lib.cli.output import progress_lines, show_table
from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, ConfigError

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

Night = Annotated[str, typer.Argument(help="The night, YYYYMMDD.")]
SurveyName = Annotated[str, typer.Option("--survey", help="Whose night.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

COUNTS = ("raw", "quarantine", "science", "rejected", "duplicates", "sent")


def register(app: typer.Typer) -> None:
    """Add the commands to the ``fink`` application."""
    commands = typer.Typer(help="Nights: list, run, summary, ledger.", no_args_is_help=True)
    commands.command("list")(list_)
    commands.command("run")(run)
    commands.command("summary")(summary)
    commands.command("ledger")(ledger)
    app.add_typer(commands, name="night")


def list_(survey: SurveyName = "ztf", as_json: AsJson = False) -> None:
    """List every night with its state and its counts, newest first."""
    from fink_lib.nightly.nights import list_nights

    settings, lake = _open(survey)
    lake.ensure()
    nights = list_nights(settings, survey)
    if as_json:
        typer.echo(json.dumps(nights, indent=2))
        return
    rows = [[night["night"], night["state"], *(night[name] for name in COUNTS), night["reason"]] for night in nights]
    show_table("", ["night", "state", *COUNTS, "reason"], rows)


def run(
    night: Night,
    survey: SurveyName = "ztf",
    timeout_s: Annotated[float | None, typer.Option(help="Longest wait for the night to close; from settings.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the nightly chain: close, reconcile, compact, validate, archive, verify, summarise, publish."""
    from fink_lib.nightly.nights import check_night
    from fink_lib.nightly.runner import run_night

    settings = load_settings()
    with progress_lines(f"night {check_night(night)}", to_stderr=as_json) as tell:
        told = run_night(settings, survey, night, progress=tell, close_timeout_s=timeout_s)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        typer.echo(f"Night {night} is {told['state']}: {told['message']}")
    if not told["ok"]:
        raise typer.Exit(EXIT_FAILED)


def summary(night: Night, survey: SurveyName = "ztf", as_json: AsJson = False) -> None:
    """Show the summary of a night: counts, classes, filters."""
    from fink_lib.nightly.view import describe_night

    settings, lake = _open(survey)
    told = describe_night(settings, lake, _known(lake, night))
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(f"Night {night} of {survey}: {told['state']}{_because(told)}")
    if told["summary"] is None:
        typer.echo("Not summarised yet; see `fink night ledger` for what has arrived.")
        return
    for table in ("basic", "class", "filters"):
        show_table(f"\n{table}", ["name", "count"], list(told["summary"][table].items()))
    show_table("\nversions", ["name", "version"], list(told["summary"]["versions"].items()))


def ledger(
    night: Night,
    survey: SurveyName = "ztf",
    kafka: Annotated[bool, typer.Option(help="Count Kafka's side in Kafka; else by the stages' own books.")] = True,
    as_json: AsJson = False,
) -> None:
    """Show both sides of a night's equation, stage by stage, and whether it is closed."""
    from fink_lib.nightly.ledger import night_ledger

    settings, lake = _open(survey)
    _known(lake, night)
    told = night_ledger(settings, survey, night, kafka=kafka)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        rows = [
            [
                stage["stage"],
                _side(stage["left"]),
                "=" if stage["difference"] == 0 else "is not",
                _side(stage["right"]),
                "closed" if stage["closed"] else "open",
                stage["source"],
            ]
            for stage in told["stages"]
        ]
        show_table(f"Ledger of night {night}", ["stage", "in", "", "out", "state", "counted in"], rows)
        if told["closed"]:
            typer.echo("Closed: every message is accounted for.")
        for sentence in told["differences"]:
            typer.echo(sentence)
    if not told["closed"]:
        raise typer.Exit(EXIT_FAILED)


def _open(survey: str) -> tuple[Settings, Lake]:
    from fink_lib.lake import open_lake

    settings = load_settings()
    return settings, open_lake(settings, survey)


def _known(lake: Lake, night: str) -> str:
    from fink_lib.nightly.nights import check_night

    lake.ensure()
    check_night(night)
    if all(night not in lake.nights(table) for table in ("raw", "quarantine", "nights")):
        raise ConfigError(f"nothing is known about night {night}; `fink night list` shows the nights that there are")
    return night


def _because(told: dict[str, Any]) -> str:
    return f" ({told['reason']})" if told["reason"] else ""


def _side(counts: dict[str, int]) -> str:
    return " + ".join(f"{count} {name}" for name, count in counts.items())
