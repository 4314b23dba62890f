"""The person in the chain: a night that is held waits here for somebody to release it, judge it again, or abandon it.

Whether the night is held is asked of the broker, never of Airflow: clearing this task, or marking another one, changes
nothing about that. The answer, with name and reason, goes through the same command as from a terminal.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.hitl import HITLBranchOperator
from airflow.sdk import Param

from dags.operators.night_stage import judge, stage_command
from dags.operators.process import ProcessOperator
from fink_lib.config import load_settings
from fink_lib.errors import EXIT_LOCKED, EXIT_OK, LockedError, TransientError
from fink_lib.runtime.files import read_json
from fink_lib.runtime.notify import tell
from fink_lib.runtime.outbox import Message

RELEASE, REPLAY, ABANDON = "Release", "Replay", "Abandon"
COMMANDS = {RELEASE: "release", REPLAY: "recheck", ABANDON: "abandon"}
_LOCKED_TRIES, _LOCKED_PAUSE_S = 12, 5.0

BODY = """
{sentences}

[Data Docs of the night]({docs})

| answer | what happens |
|---|---|
| **Release** | The night goes on with the faults that it has. The same rules will not hold it again. |
| **Replay** | Its checks run again, from `reconcile` on, when the cause is repaired. It is held until it passes. |
| **Abandon** | The night is given up: nothing of it is archived or published. *Replay* takes that back later. |

Nothing happens by itself, however long it takes. Your name and reason are kept with the night.
"""


class DecideNight(ProcessOperator, HITLBranchOperator):
    """Ask a person about a night that is held; go on at once with one that is not.

    Parameters
    ----------
    survey : str
        Whose night.
    night : str
        ``YYYYMMDD`` (templated).
    follow : str
        The task that goes on with a night that is not held.
    reports_url : str
        Where the reports of nights are served.
    """

    template_fields = ("night", "subject", "body")
    ui_color = "#f2dcb8"

    def __init__(self, *, survey: str, night: str, follow: str, reports_url: str = "", **kwargs: Any) -> None:
        kwargs.pop("params", None)  # those of the DAG, which are merged again
        super().__init__(
            subject="A night is held",
            options=list(COMMANDS),
            params={
                "reason": Param("", type="string", title="Reason", description="Why; it is kept with the night."),
                "name": Param(
                    None, type=["null", "string"], title="Your name", description="Empty: that of your log-in."
                ),
            },
            options_mapping={RELEASE: follow},
            **kwargs,
        )
        self.survey = survey
        self.night = night
        self.follow = follow
        self.reports_url = reports_url

    def execute(self, context: Any) -> Any:
        """Look at the night; ask if it is held."""
        return self._ask_or_go_on(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Carry out what a person has answered.

        Raises
        ------
        LockedError
            If a stage of the night runs on and on (retried, which asks again).
        TransientError
            If the answer could not be recorded (retried, which asks again).
        """
        if "error" in event:
            self.process_trigger_event_error(event)
        (answer,) = event["chosen_options"]
        given = event.get("params_input") or {}
        user = event.get("responded_by_user") or {}
        by = str(given.get("name") or "").strip() or str(user.get("name") or user.get("id") or "")
        reason = str(given.get("reason") or "").strip()
        told = self._look()
        if not told["held"]:  # somebody has decided from a terminal meanwhile
            self.log.info("%s by %s changes nothing: %s", answer, by, told["message"])
            return self._go_on(context, told)
        if not by or not reason:
            return self._ask_or_go_on(context, f"{answer} takes a name and a reason. ")
        self.log.info("%s by %s: %s", answer, by, reason)
        code = self._carry_out(COMMANDS[answer], by, reason)
        if answer == REPLAY:  # code 1 says that it is held still
            return self._ask_or_go_on(context)
        if code != EXIT_OK:
            raise TransientError(f"the answer could not be recorded (code {code}); the output is above")
        if answer == ABANDON:
            return self.do_branch(context, None)
        return super().execute_complete(context, event)

    def _look(self) -> dict[str, Any]:
        """Ask the broker about the night."""
        with tempfile.TemporaryDirectory(prefix="fink-verdict-") as folder:
            file = Path(folder) / "verdict.json"
            code = self.run_process(stage_command(self.survey, "holding", self.night, file))
            return judge("holding", self.night, code, read_json(file))

    def _go_on(self, context: Any, told: dict[str, Any]) -> Any:
        return self.do_branch(context, None if told["state"] == "abandoned" else self.follow)

    def _ask_or_go_on(self, context: Any, before: str = "") -> Any:
        told = self._look()
        self.log.info(told["message"])
        if not told["held"]:
            return self._go_on(context, told)
        self.subject = f"{before}Night {self.night} of {self.survey} is held"
        sentences = told["sentences"] or [told["message"]]
        docs = f"{self.reports_url}/{self.survey}/{self.night}/data_docs/index.html"
        self.body = BODY.format(sentences="\n".join(f"- {one}" for one in sentences), docs=docs)
        self._tell(context, sentences)
        return super().execute(context)  # parks the task

    def _tell(self, context: Any, sentences: list[str]) -> None:
        """Tell people, once for each reason to hold the night."""
        message = Message(
            incident=f"night {self.night} of {self.survey} is held: {'; '.join(sentences)}",
            subject=f"Fink: night {self.night} of {self.survey} is held",
            text="\n".join(sentences),
            next_step="open Required actions of decide_night, read the Data Docs, and release, replay or abandon it",
            link=str(getattr(context["ti"], "log_url", "") or ""),
        )
        self.log.info("told people" if tell(load_settings(), message) else "people know already")

    def _carry_out(self, command: str, by: str, reason: str) -> int:
        words = [sys.executable, "-m", "fink_lib.cli", "night", command, self.night, "--survey", self.survey]
        for _ in range(_LOCKED_TRIES):
            code = self.run_process([*words, "--by", by, "--reason", reason])
            if code != EXIT_LOCKED:
                return code
            time.sleep(_LOCKED_PAUSE_S)
        raise LockedError(f"a stage of night {self.night} runs; answer again when it has ended")
