"""What happens when a task has failed for good: a person is told, once for each incident."""

from __future__ import annotations

import re
from typing import Any

from airflow.sdk import BaseNotifier

from fink_lib.config import load_settings
from fink_lib.runtime.notify import tell
from fink_lib.runtime.outbox import Message

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
