"""``fink night``: list nights, run the nightly chain, decide about a held night, read a night's summary and ledger."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fink_lib.cli.output import progress_lines, show_table
from fink_lib.cli.replay import run as replay
from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, ConfigError

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

Night = Annotated[str, typer.Argument(help="The night, YYYYMMDD.")]
SurveyName = Annotated[str, typer.Option("--survey", help="Whose night.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the night.")]
By = Annotated[str, typer.Option("--by", help="Who decides; the name of the log-in if left out.")]

COUNTS = ("raw", "quarantine", "science", "rejected", "duplicates", "sent")


def register(app: typer.Typer) -> None:
    """Add the commands to the ``fink`` application."""
    commands = typer.Typer(help="Nights: list, run, release, recheck, abandon, summary, ledger.", no_args_is_help=True)
    commands.command("list")(list_)
    commands.command("run")(run)
    commands.command("release")(release)
    commands.command("recheck")(recheck)
    commands.command("abandon")(abandon)
    commands.command("summary")(summary)
    commands.command("ledger")(ledger)
    commands.command("replay")(replay)
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


def release(night: Night, reason: Reason, survey: SurveyName = "ztf", by: By = "", as_json: AsJson = False) -> None:
    """Let a held night go on with the faults that it has; the same rules do not hold it again."""
    _decide(survey, night, "release", by, reason, as_json)


def abandon(night: Night, reason: Reason, survey: SurveyName = "ztf", by: By = "", as_json: AsJson = False) -> None:
    """Give a held or failed night up: nothing of it is archived or published."""
    _decide(survey, night, "abandon", by, reason, as_json)


def recheck(night: Night, reason: Reason, survey: SurveyName = "ztf", by: By = "", as_json: AsJson = False) -> None:
    """Judge a held or abandoned night again, from reconcile on; takes a release back."""
    from fink_lib.nightly.runner import run_stage

    _decide(survey, night, "replay", by, reason, as_json)
    with progress_lines(f"night {night}", to_stderr=as_json) as tell:
        for stage in ("reconcile", "compact", "validate"):
            verdict = run_stage(load_settings(), survey, night, stage, progress=tell)
            tell(f"{stage}: {verdict['message']}")
            if not verdict["ok"]:
                break
    if not as_json:
        typer.echo(verdict["message"])
    if not verdict["ok"]:
        raise typer.Exit(EXIT_FAILED)


def _decide(survey: str, night: str, decision: str, by: str, reason: str, as_json: bool) -> None:
    from fink_lib.nightly.decisions import decide

    told = decide(load_settings(), survey, night, decision, by or getpass.getuser(), reason, datetime.now(UTC))
    typer.echo(json.dumps(told, indent=2) if as_json else told["message"])


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
    for one in told["decisions"]:
        typer.echo(f"{one['time'][:19]} {one['decision']} by {one['by']}: {one['reason']}")
    for table in ("basic", "class", "filters", "quality"):
        show_table(f"\n{table}", ["name", "count"], list(told["summary"][table].items()))
    show_table("\nlatency", ["name", "seconds"], list(told["summary"]["latency"].items()))
    show_table("\nversions", ["name", "version"], list(told["summary"]["versions"].items()))


def ledger(
    night: Night,
    survey: SurveyName = "ztf",
    kafka: Annotated[bool, typer.Option(help="Count Kafka's side in Kafka; else by the stages' own books.")] = True,
    archive: Annotated[bool, typer.Option("--archive", help="Compare HBase with the lake now, row by row.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show both sides of a night's equations from where things are, and what is wrong, down to batches and alerts."""
    from fink_lib.nightly.ledger import night_ledger
    from fink_lib.nightly.ledger_page import ledger_sections

    settings, lake = _open(survey)
    _known(lake, night)
    told = night_ledger(settings, survey, night, kafka=kafka, archive=archive)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        for title, headings, rows in ledger_sections(told):
            show_table(title, headings, rows)
            typer.echo("")
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
