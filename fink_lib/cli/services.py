"""``fink up``, ``fink down``, ``fink status``: the local services, and a look at the streams."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from fink_lib.cli.output import progress_lines, show_table
from fink_lib.config import load_settings
from fink_lib.errors import ConfigError

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SERVICE]...", help="kafka, hbase, airflow, api, or one process of them; all without."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the ``fink`` application."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)


def up(
    services: Names = None,
    airflow_db: Annotated[
        str,
        typer.Option(
            metavar="sqlite|postgresql",
            help="Where Airflow keeps its state, from now on: written into fink.toml. Its history does not move along.",
        ),
    ] = "",
) -> None:
    """Start services and wait until they answer; harmless if they run already."""
    from fink_lib.runtime.control import bring_up, choose_database

    _check(services)
    if airflow_db:
        choose_database(load_settings(), airflow_db)
    with progress_lines("starting services") as tell:
        bring_up(load_settings(), services or (), tell)


def down(services: Names = None) -> None:
    """Drain the streams and end services; without names, leave no process behind."""
    from fink_lib.runtime.control import bring_down

    _check(services)
    with progress_lines("stopping") as tell:
        bring_down(load_settings(), services or (), tell)
        tell("stopped" if services else "everything is stopped")


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show services and streams: state, process, lag, rows per second, age of the heartbeat, addresses."""
    from fink_lib.runtime import control

    now = control.status(load_settings())
    if as_json:
        typer.echo(json.dumps(now, indent=2))
        return
    supervisor = now["supervisor"]
    who = f"process {supervisor['pid']}" if supervisor["running"] else "none"
    typer.echo(f"home {now['home']}, supervisor: {who}")
    services = [
        [row["name"], row["state"], row["pid"], _span(row["up_s"]), row["memory_mb"], row["restarts"], _note(row)]
        for row in now["services"]
    ]
    show_table("", ["service", "state", "pid", "up", "MB", "restarts", "where, or why not"], services)
    streams = [
        [
            f"{row['stage']} ({row['survey']})",
            row["state"],
            row["pid"],
            _span(row["age_s"]),
            *_progress(row),
            row["error"],
        ]
        for row in now["streams"]
    ]
    typer.echo("")
    show_table("", ["stream", "state", "pid", "heartbeat", "batch", "rows/s", "lag", "error"], streams)


def _check(names: list[str] | None) -> None:
    from fink_lib.runtime.services import expand

    try:
        expand(names or ())
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error


def _note(row: dict[str, Any]) -> str:
    return str(row["message"] or (row["url"] if row["state"] == "ready" else ""))


def _progress(row: dict[str, Any]) -> list[Any]:
    return [row["batch"], round(row["rows_s"], 1), row["lag"]]


def _span(seconds: float | None) -> str:
    """A length of time as people say it."""
    if seconds is None:
        return ""
    for unit, length_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"
