"""``/api/v1/transfers``: past nights, or a part of them, in a topic of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fink_lib.api.arguments import Argument
from fink_lib.api.endpoint import Call
from fink_lib.api.operation import Asked, Operation
from fink_lib.community.refusals import RefusedError, refuse_argument
from fink_lib.community.store import text_of
from fink_lib.errors import ConfigError, LockedError, TransientError
from fink_lib.filters import FilterError
from fink_lib.transfer import life, submit
from fink_lib.transfer.airflow import Airflow, airflow_session
from fink_lib.transfer.job import CANCELLED, ENDED, Job, JobStore, Selection

DAG = "ops_transfer"
MOST_CONDITIONS = 20
MOST_WAITING = 5
"""Transfers of one owner that have not ended."""
CANCEL_WAIT_S = 5.0

_ID = Argument(
    "id", "As the request was answered.", required=True, in_path=True, example="ftransfer_ztf_2025-11-03_123456"
)
_MISSING = {404: "There is no such transfer"}
_EXAMPLE = {
    "id": "ftransfer_ztf_2025-11-03_123456",
    "state": "submitted",
    "topic": "ftransfer_ztf_2025-11-03_123456",
    "expected": 12345,
    "size_bytes": 812345678,
    "command": "fink client transfer ftransfer_ztf_2025-11-03_123456",
}


def ask(call: Call) -> dict[str, Any]:
    """Ask for past nights, or what they would come to."""
    assert isinstance(call, Asked)
    settings = call.stores.settings
    selection = _selection(call)
    try:
        if call["dry_run"]:
            planned = submit.plan(settings, selection)
            return {"expected": planned.rows, "size_bytes": planned.size_bytes, "nights": len(planned.nights)}
        _refuse_many(call)
        airflow = _airflow(call)  # before anything is written down
        job = submit.submit(settings, selection, _now())
    except FilterError as refusal:
        raise refuse_argument("conditions", f"may not run, column {refusal.column}: {refusal.message}") from refusal
    with call.stores.community.transaction() as change:
        change.add("transfers", id=job.id, owner=call.who.owner, token=call.who.token, created=text_of(_now()))
    try:
        airflow.trigger(DAG, f"transfer__{job.id}", {"transfer": job.id})
    except TransientError:
        life.cancel(settings, job.id, _now(), CANCEL_WAIT_S)  # nobody would ever do it
        raise
    return _told(job, call.who.owner)


def listed(call: Call) -> list[dict[str, Any]]:
    """List transfers, the newest first."""
    owners = _owners(call)
    return [_told(job, owners.get(job.id, "operator")) for job in JobStore(call.stores.settings.home).list("ztf")]


def one(call: Call) -> dict[str, Any]:
    """Say how far a transfer is."""
    return _told(_find(call), _owners(call).get(call["id"], "operator"))


def cancel(call: Call) -> dict[str, Any]:
    """Stop a transfer and delete its topics."""
    assert isinstance(call, Asked)
    job = _find(call)
    owner = _owners(call).get(job.id, "operator")
    call.who.insist(owner, f"the transfer {job.id}")
    try:
        job = life.cancel(call.stores.settings, job.id, _now(), CANCEL_WAIT_S)
    except LockedError:
        return {**_told(job, owner), "message": "it stops within a few hundred rows, and its topics are deleted then"}
    return _told(job, owner)


def _selection(call: Call) -> Selection:
    conditions = tuple(part.strip() for part in call["conditions"].split(";") if part.strip())
    if len(conditions) > MOST_CONDITIONS:
        raise refuse_argument("conditions", f"must not be more than {MOST_CONDITIONS}")
    columns = call["content"] or ("full",)
    return Selection("ztf", call["nights"], call["classes"], call["filter"], conditions, tuple(columns))


def _refuse_many(call: Asked) -> None:
    mine = {name for name, owner in _owners(call).items() if owner == call.who.owner}
    waiting = [
        job for job in JobStore(call.stores.settings.home).list("ztf") if job.id in mine and job.state not in ENDED
    ]
    if len(waiting) >= MOST_WAITING:
        raise RefusedError("conflict", f"{MOST_WAITING} of your transfers have not ended; wait for one, or cancel one")


def _airflow(call: Call) -> Airflow:
    """Give an Airflow that has the DAG; whoever asks cannot help it if there is none."""
    try:
        airflow = airflow_session(call.stores.settings)
    except ConfigError as error:
        raise TransientError(f"transfers are done by Airflow, which was never started here ({error})") from error
    if not airflow.has(DAG):
        raise TransientError(f"Airflow has not read {DAG} yet")
    return airflow


def _find(call: Call) -> Job:
    try:
        return JobStore(call.stores.settings.home).find(call["id"])
    except ConfigError as refusal:
        raise RefusedError("not-found", f"no transfer is called {call['id'][:80]}", "id") from refusal


def _owners(call: Call) -> dict[str, str]:
    return {row["id"]: row["owner"] for row in call.stores.community.rows("SELECT id, owner FROM transfers")}


def _told(job: Job, owner: str) -> dict[str, Any]:
    return {
        "id": job.id,
        "owner": owner,
        "state": job.state,
        "selection": job.selection.words,
        "topic": "" if job.parquet else job.id,
        "expected": job.plan.rows,
        "sent": job.sent,
        "size_bytes": job.plan.size_bytes,
        "nights": len(job.plan.nights),
        "command": "" if job.parquet or job.state == CANCELLED else f"fink client transfer {job.id}",
        "message": job.message,
        "submitted": job.submitted,
        "changed": job.changed,
        "topics_gone": job.topics_gone,
    }


def _now() -> datetime:
    return datetime.now(UTC)


ENDPOINTS = (
    Operation("/api/v1/transfers", "Transfers, the newest first", listed, method="GET", tag="transfers",
              example=[_EXAMPLE]),
    Operation(
        "/api/v1/transfers", "Ask for past nights in a topic of their own", ask,
        (
            Argument("nights", "`A`, or `A..B` with both ends (YYYYMMDD).", required=True,
                     example="20251101..20251107"),
            Argument("classes", "Alerts of any of these; `(TNS) X` and `(SIMBAD) X` ask for a label.", "list",
                     default=(), example="SN candidate"),
            Argument("filter", "Only what this filter takes.", default=""),
            Argument("conditions", "Predicates in SQL, separated by `;`; all of them must hold.", default=""),
            Argument("content", "`full`, `medium` (no images), `light`, or names of columns.", "list", default=(),
                     example="medium"),
            Argument("dry_run", "True counts and estimates only.", "boolean", default=False),
        ),
        method="POST", scope="transfer", success=202, tag="transfers", example=_EXAMPLE,
        refusals={409: "Too many of your transfers have not ended"},
    ),
    Operation("/api/v1/transfers/{id}", "How far a transfer is", one, (_ID,), method="GET", tag="transfers",
              example=_EXAMPLE, refusals=_MISSING),
    Operation("/api/v1/transfers/{id}", "Stop a transfer, and delete its topics", cancel, (_ID,), method="DELETE",
              scope="transfer", tag="transfers", example=_EXAMPLE, refusals=_MISSING),
    Operation("/api/v1/transfers/{id}/cancel", "Stop a transfer, and delete its topics", cancel, (_ID,), method="POST",
              scope="transfer", tag="transfers", example=_EXAMPLE, refusals=_MISSING),
)  # fmt: skip
