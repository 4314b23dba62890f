"""``fink demo``: one night of alerts, from the telescope's topic to the summary."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from fink_lib.config import load_settings, project_root
from fink_lib.errors import EXIT_FAILED

SHOWN_NIGHTS = 3


def register(app: typer.Typer) -> None:
    """Add the command to the ``fink`` application."""
    app.command("demo")(demo)


def demo(
    alerts: Annotated[
        list[Path] | None, typer.Argument(help="Files, folders or tar.gz of Avro alerts; a synthetic night without.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Alerts of the synthetic night.")] = None,
    survey: Annotated[str, typer.Option(help="Whose alerts.")] = "ztf",
) -> None:
    """Bring everything up, play a night through it, close the night, and show what became of it."""
    from fink_lib.demo.night import play, prepare, run_nights, start_streams
    from fink_lib.demo.results import topic_counts
    from fink_lib.transfer.airflow import airflow_session

    began_s = time.monotonic()

    def step(text: str) -> None:
        typer.echo(f"[{time.monotonic() - began_s:5.0f} s] {text}")

    paths = [str(path.resolve()) for path in alerts or []]
    settings = load_settings()
    prepare(settings)
    settings = load_settings()
    step("Services up: Kafka, HBase, Airflow, API")
    _fink("up")
    step("Streams up, supervised by Airflow")
    airflow = airflow_session(settings)
    start_streams(settings, airflow, survey, typer.echo)
    step("A night of alerts")
    played = play(settings, paths, count or settings.simulator.synthetic_alerts, typer.echo)
    step(f"{played.messages} messages sent; closing {len(played.nights)} night(s) with the nightly chain")
    failed = run_nights(airflow, survey, played.nights, typer.echo)
    step("What became of it")
    if len(played.nights) <= SHOWN_NIGHTS:
        for night in played.nights:
            _fink("night", "summary", night)
            _fink("night", "ledger", night)
    else:
        _fink("night", "list")
    typer.echo("Messages in the output topics, as a read_committed consumer counts them:")
    for topic, messages in topic_counts(settings, survey).items():
        typer.echo(f"  {topic:40s} {messages}")
    typer.echo("")
    typer.echo(f"Airflow   {airflow.url}   (login {airflow.username} / {airflow.password})")
    typer.echo(f"API       http://{settings.api.host}:{settings.api.port}/   docs at /docs")
    typer.echo("The streams stay up: `fink status` shows them, `fink down` stops everything.")
    if failed:
        typer.echo(
            f"Nights that did not end well: {', '.join(failed)}; see {airflow.url}/dags/nightly_{survey}", err=True
        )
        raise typer.Exit(EXIT_FAILED)
    step("done")


def _fink(*words: str) -> None:
    """Run a command of the broker in a process of its own, as a person would."""
    done = subprocess.run([sys.executable, "-m", "fink_lib.cli", *words], cwd=project_root(), check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
