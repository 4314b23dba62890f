"""``fink bench``: how fast the broker is on this machine, and how far from what the design asks for."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Annotated, Any

import typer

from fink_lib.cli.output import progress_lines, show_table
from fink_lib.config import load_settings


def register(app: typer.Typer) -> None:
    """Add the command to the ``fink`` application."""
    app.command("bench")(bench)


def bench(
    stage: Annotated[
        str,
        typer.Option(
            help="stream2raw, raw2science, distribution, chain, latency, nightly, archive, crossmatch, backtest, api, "
            "or all but the last two."
        ),
    ] = "all",
    alerts: Annotated[int, typer.Option(min=500, help="How many alerts to send.")] = 10_000,
    data: Annotated[list[Path] | None, typer.Option(help="Recorded alerts, re-keyed until there are enough.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure throughput, latency, processor time and memory in an installation of its own."""
    import psutil

    from fink_lib.bench.measure import BUDGETS, STAGES, measure

    if stage not in (*STAGES, "chain", "latency", "nightly", "archive", "crossmatch", "backtest", "api", "all"):
        raise typer.BadParameter(f"{stage} is not one of them", param_hint="--stage")
    with progress_lines("measuring", to_stderr=True) as tell:
        figures = measure(stage, alerts, data or [], load_settings().home / "bench", tell)
    machine = {"cores": psutil.cpu_count(), "memory_gb": round(psutil.virtual_memory().total / 1e9, 1)}
    machine |= {"python": platform.python_version()}
    if as_json:
        typer.echo(json.dumps({"machine": machine, "figures": [figure.to_json() for figure in figures]}, indent=2))
        return
    typer.echo(f"{machine['cores']} cores, {machine['memory_gb']} GB, Python {machine['python']}")
    rows: list[list[Any]] = []
    for figure in figures:
        budget = BUDGETS.get(figure.what)
        rows.append(
            [
                figure.what,
                figure.alerts,
                f"{figure.seconds:.1f}",
                f"{figure.rate_s:.0f}",
                f"{budget:.0f}" if budget else "",
                f"{figure.cpu_ms_per_alert:.2f}",
                f"{figure.peak_mb:.0f}",
            ]
        )
    show_table("", ["what", "alerts", "seconds", "alerts/s", "budget", "CPU ms/alert", "peak MB"], rows)
    for figure in figures:
        for name, value in figure.more.items():
            typer.echo(f"{figure.what}: {name} = {value}")
