"""What happens when a task has failed for good, or a night is late: a person is told, once for each incident."""

from __future__ import annotations

import asyncio
import os
import re
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseNotifier
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from fink_lib.config import load_settings
from fink_lib.runtime.notify import tell
from fink_lib.runtime.outbox import Message

LATE_H = float(os.environ.get("FINK_NIGHT_LATE_H", "8"))
"""Hours after which a night that is not finished is told of."""

_RED = re.compile(r"(?:\*\*Look at\*\*|\*\*Press\*\*:|Red:)\s*(.+?)(?:\n\n|$)", re.DOTALL)


class TellPeople(BaseNotifier):
    """Put the failure of a task into the outbox, with a link and with what the task's page says to do.

    The incident of a nightly task is the task in its run: retries, and *Clear* with the same end, are the same
    trouble. Runs of a stream follow each other without end, so there the incident is the stream.
    """

    def notify(self, context: Any) -> None:
        """Tell of the task in the context."""
        message = message_of(context)
        news = tell(load_settings(), message)
        self.log.info("%s: %s", "told people" if news else "people know already", message.subject)


def message_of(context: Any) -> Message:
    """Say in a message what failed, why, and what to do.

    Parameters
    ----------
    context : mapping
        Of the task, as Airflow gives it to callbacks.
    """
    instance, task = context["ti"], context["task"]
    place = f"{instance.dag_id}.{instance.task_id}"
    index = getattr(instance, "map_index", -1)
    if index is not None and index >= 0:
        place = f"{place}[{index}]"
    run = "" if instance.dag_id.startswith("stream_") else f" of {instance.run_id}"
    error = context.get("exception")
    return Message(
        incident=f"{place}{run}",
        subject=f"Fink: {place} failed",
        text=f"{place}{run} failed: {error}" if error else f"{place}{run} failed; its log says why.",
        next_step=next_step(task.doc_md or ""),
        link=str(getattr(instance, "log_url", "") or ""),
    )


def next_step(doc: str) -> str:
    """Take from a task's page what to look at or press when it is red."""
    found = _RED.search(doc)
    return " ".join(found[1].split()) if found else "read the task's log and its page *Details*"


async def tell_late(context: Any = None) -> None:
    """Tell of a run that is not finished in time; runs in the triggerer.

    Parameters
    ----------
    context : mapping
        The run and its deadline, as Airflow gives them.
    """
    await asyncio.to_thread(tell, load_settings(), late_message(context))


def late_message(context: Any) -> Message:
    """Say in a message which run is late, and where to look.

    Parameters
    ----------
    context : mapping
        See :func:`tell_late`.
    """
    run = context["dag_run"]
    dag_id, run_id = str(run["dag_id"]), str(run.get("dag_run_id") or run.get("run_id"))
    night = (run.get("conf") or {}).get("night") or run.get("logical_date") or "of an unknown date"
    return Message(
        incident=f"{dag_id} of {run_id} is late",
        subject=f"Fink: {dag_id} is late",
        text=f"{run_id} (night {night}) is not finished {LATE_H:g} hours after it was queued. The streams go on.",
        next_step="open the run: the task that is not green says what it waits for; a held stream or a held night is "
        "the usual cause",
        link=f"{load_airflow_url()}/dags/{dag_id}/runs/{run_id}",
    )


def load_airflow_url() -> str:
    """Where people open Airflow."""
    airflow = load_settings().airflow
    return f"http://{airflow.host}:{airflow.port}"


def night_deadline() -> DeadlineAlert:
    """Give the alert for a night that is late."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=LATE_H),
        callback=AsyncCallback(tell_late),
    )
