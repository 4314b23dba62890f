"""``fink transfer``: past nights, or a part of them, in a topic of their own or as Parquet files."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fink_lib.cli.output import progress_lines, show_table
from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, ConfigError, FinkError

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.transfer.airflow import Airflow
    from fink_lib.transfer.job import Job, Selection

DAG = "ops_transfer"
POLL_S = 1.0

JobId = Annotated[str, typer.Argument(metavar="TRANSFER", help="Its name, ftransfer_…")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the ``fink`` application."""
    group = typer.Typer(help="Bulk transfer of past nights.", no_args_is_help=True)
    group.command("submit")(submit)
    group.command("list")(list_)
    group.command("show")(show)
    group.command("cancel")(cancel)
    group.command("run")(run)
    group.command("expire")(expire)
    app.add_typer(group, name="transfer")


def submit(
    nights: Annotated[str, typer.Option(help="YYYYMMDD, or A..B with both ends.")],
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="A class, '(TNS) X' or '(SIMBAD) X'; several: any of them.")
    ] = None,
    filter_name: Annotated[str, typer.Option("--filter", help="Only what this filter takes.")] = "",
    where: Annotated[list[str] | None, typer.Option(help="A condition in SQL; several: all of them.")] = None,
    columns: Annotated[
        str, typer.Option(help="full, medium (no images), light, or names with commas between them.")
    ] = "full",
    parquet: Annotated[Path | None, typer.Option(help="Write Parquet files into this folder, and no topic.")] = None,
    here: Annotated[bool, typer.Option("--here", help="Do it in this process, without Airflow.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Show the progress until it ends.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count and estimate only.")] = False,
    survey: Annotated[str, typer.Option(help="Whose nights.")] = "ztf",
    as_json: AsJson = False,
) -> None:
    """Ask for past nights; prints the topic, the number of rows and their size."""
    from fink_lib.transfer import submit as submitting
    from fink_lib.transfer.job import Selection

    settings = load_settings()
    chosen = tuple(name.strip() for name in columns.split(",") if name.strip())
    selection = Selection(survey, nights, tuple(classes or ()), filter_name, tuple(where or ()), chosen)
    with _pointing():
        if dry_run:
            planned = submitting.plan(settings, selection)
            _tell_plan(planned.rows, planned.size_bytes, len(planned.nights), as_json)
            return
        airflow = None if here else _airflow(settings)
        job = submitting.submit(settings, selection, datetime.now(UTC), parquet)
    _tell_open_nights(settings, selection, job, as_json)
    if not as_json:
        _tell_job(job)
    if airflow is None:
        job = _run(settings, job.id, as_json)
    else:
        run_id = airflow.trigger(DAG, f"transfer__{job.id}", {"transfer": job.id})
        if not as_json:
            typer.echo(f"Airflow does it: {airflow.url}/dags/{DAG}/runs/{run_id}")
        if wait:
            job = _follow(settings, airflow, job.id, run_id, as_json)
    if as_json:
        typer.echo(json.dumps(job.to_json(), indent=2))
    if job.state == "failed":
        raise typer.Exit(EXIT_FAILED)


def list_(
    survey: Annotated[str, typer.Option(help="Only of this survey.")] = "",
    as_json: AsJson = False,
) -> None:
    """List all transfers, the newest first."""
    from fink_lib.transfer.job import JobStore

    jobs = JobStore(load_settings().home).list(survey)
    if as_json:
        typer.echo(json.dumps([job.to_json() for job in jobs], indent=2))
        return
    rows = [
        [job.id, job.state, job.sent, job.plan.rows, round(job.plan.size_bytes / 1e6, 1), job.changed,
         job.selection.words]
        for job in jobs
    ]  # fmt: skip
    show_table("", ["transfer", "state", "sent", "expected", "MB", "changed", "selection"], rows)


def show(transfer: JobId, as_json: AsJson = False) -> None:
    """Show one transfer: what was asked for, how far it is, how to read it."""
    from fink_lib.transfer.job import JobStore

    job = JobStore(load_settings().home).find(transfer)
    if as_json:
        typer.echo(json.dumps(job.to_json(), indent=2))
        return
    _tell_job(job)
    typer.echo(f"{job.state}: {job.sent} of {job.plan.rows} rows, at {job.changed}")
    if job.message:
        typer.echo(job.message)
    if job.topics_gone:
        typer.echo(f"its topics were deleted at {job.topics_gone}")


def cancel(transfer: JobId) -> None:
    """Stop a transfer, in whatever state it is, and delete its topics."""
    from fink_lib.transfer import life

    job = life.cancel(load_settings(), transfer, datetime.now(UTC))
    typer.echo(f"{job.id}: {job.message}")


def run(transfer: JobId, as_json: AsJson = False) -> None:
    """Do a transfer that was submitted, or go on with one that was interrupted; Airflow calls this."""
    job = _run(load_settings(), transfer, as_json)
    if as_json:
        typer.echo(json.dumps(job.to_json(), indent=2))


def expire() -> None:
    """Delete the topics of transfers whose life is over; Airflow calls this every day."""
    from fink_lib.transfer import life

    gone = life.expire(load_settings(), datetime.now(UTC))
    for job in gone:
        typer.echo(f"{job.id}: its topics are deleted")
    if not gone:
        typer.echo("no transfer is over")


def _run(settings: Settings, job_id: str, quiet: bool) -> Job:
    from fink_lib.transfer.run import run_job

    with progress_lines(job_id, to_stderr=quiet) as tell:
        return run_job(settings, job_id, tell)


def _airflow(settings: Settings) -> Airflow:
    """Give an Airflow that has the DAG, before anything is written down."""
    from fink_lib.transfer.airflow import airflow_session

    try:
        airflow = airflow_session(settings)
        ready = airflow.has(DAG)
    except FinkError as error:
        raise ConfigError(f"{error}; `fink up airflow` starts it, and --here does without") from error
    if not ready:
        raise ConfigError(f"Airflow has not read {DAG} yet; try again in a minute, or do it with --here")
    return airflow


def _follow(settings: Settings, airflow: Airflow, job_id: str, run_id: str, quiet: bool) -> Job:
    """Show how far a job is until it has ended, or until Airflow has given it up."""
    from fink_lib.transfer.job import CANCELLED, DONE, JobStore

    store, told = JobStore(settings.home), ""
    with progress_lines(job_id, to_stderr=quiet) as tell:
        while True:
            # in this order: what the run wrote last is seen when it has ended
            state = airflow.states(DAG).get(run_id, "")
            job = store.find(job_id)
            line = f"{job.state}: {job.sent} of {job.plan.rows} rows"
            line += f"; {job.message}" if job.state == "failed" else ""
            if line != told:
                told = line
                tell(line)
            # a failed try is repeated: only Airflow knows whether that was the last one
            if job.state in (DONE, CANCELLED) or state in ("success", "failed"):
                break
            time.sleep(POLL_S)
        tell(job.message or f"Airflow's run {run_id} has {state}; see its log")
    if state == "failed" and job.state not in (DONE, CANCELLED):
        raise typer.Exit(EXIT_FAILED)
    return job


def _tell_job(job: Job) -> None:
    typer.echo(f"{job.id}: {job.selection.words}")
    _tell_plan(job.plan.rows, job.plan.size_bytes, len(job.plan.nights), as_json=False)
    if job.parquet:
        typer.echo(f"files in {job.parquet}")
    else:
        typer.echo(f"read it with: fink client transfer {job.id}")


def _tell_plan(rows: int, size_bytes: int, nights: int, as_json: bool) -> None:
    told: dict[str, Any] = {"nights": nights, "expected": rows, "size_bytes": size_bytes}
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    elif rows:
        typer.echo(f"{rows} rows of {nights} nights, about {size_bytes / 1e6:.1f} MB")
    else:
        typer.echo(f"the selection holds no alert of {nights} nights")


def _tell_open_nights(settings: Settings, selection: Selection, job: Job, to_stderr: bool) -> None:
    from fink_lib.lake import open_lake
    from fink_lib.transfer.submit import open_nights

    still = open_nights(open_lake(settings, selection.survey), job.plan.nights)
    if still:
        which = ", ".join(still[:3]) + (f" and {len(still) - 3} more" if len(still) > 3 else "")
        typer.echo(f"not closed yet: {which}; alerts that arrive later are not in the transfer", err=to_stderr)


@contextmanager
def _pointing() -> Iterator[None]:
    """Show the place at which a condition is refused, and end."""
    from fink_lib.filters import FilterError

    try:
        yield
    except FilterError as refusal:
        typer.echo(str(refusal), err=True)
        if refusal.text:
            typer.echo(refusal.excerpt, err=True)
        sys.exit(EXIT_FAILED)
