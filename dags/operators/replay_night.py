"""Making a night again: a process beside the live night, and the person who decides what becomes of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.hitl import HITLBranchOperator
from airflow.sdk import BaseOperatorLink
from airflow.sdk.exceptions import DownstreamTasksSkipped

from dags.operators.night_stage import judge, stage_command
from dags.operators.process import ProcessOperator
from dags.operators.report_link import reports_url
from fink_lib.runtime.files import read_json

STAGE = "replay"
ASK, PROMOTE, KEEP = "ask", "promote", "keep"
THEN = (ASK, PROMOTE, KEEP)
"""What may be wanted of a replay that has been compared."""

BODY = """
{message}

{modules}

[What it would change, in full]({report})

| answer | what happens |
|---|---|
| **Promote** | The replay takes the night's place: lake, archive, summary; users get late messages and corrections. |
| **Discard** | The replay is thrown away. The night stays as it is. |

Nothing happens by itself, however long it takes.
"""


class ReplayReport(BaseOperatorLink):
    """The button *Report* of a replay."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Give the address of the report of what would change."""
        return report_url(operator.survey, operator.night)


def report_url(survey: str, night: str) -> str:
    """Give the address of the report of a night's replay."""
    return f"{reports_url()}/{survey}/{night}/replay/difference.html"


class MakeReplay(ProcessOperator):
    """Make a night again beside the live one, and compare.

    Parameters
    ----------
    survey : str
        Whose night.
    night, start, pins : str
        Which night, from which table, and pins with blanks between (all templated).
    """

    template_fields = ("night", "start", "pins")
    operator_extra_links = (ReplayReport(),)
    ui_color = "#dfe8d5"

    def __init__(self, *, survey: str, night: str, start: str, pins: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.survey = survey
        self.night = night
        self.start = start
        self.pins = pins

    def execute(self, context: Any) -> Any:
        """Run it to its end; a run that the clock has brought does nothing."""
        if str(context["dag_run"].run_type) == "scheduled":
            self.log.info("replays are asked for by people: trigger this DAG, or backfill it over a range of nights")
            raise DownstreamTasksSkipped(tasks=sorted(self.downstream_task_ids))
        with tempfile.TemporaryDirectory(prefix="fink-verdict-") as folder:
            file = Path(folder) / "verdict.json"
            pins = [word for pin in self.pins.split() for word in ("--pin", pin)]
            command = [*stage_command(self.survey, STAGE, self.night, file), "--from", self.start, *pins]
            verdict = judge(STAGE, self.night, self.run_process(command), read_json(file))
        self.log.info("done: %s", verdict["message"])
        return verdict


class DecideReplay(HITLBranchOperator):
    """Ask a person what becomes of a replay, unless that was said before or there is nothing to decide.

    Parameters
    ----------
    survey, night : str
        Which night (templated).
    then : str
        One of :data:`THEN` (templated).
    made : str
        Task that has made the replay.
    promote, discard : str
        Tasks that follow the answers.
    """

    template_fields = ("night", "then", "subject", "body")
    operator_extra_links = (ReplayReport(),)
    ui_color = "#f2dcb8"

    def __init__(
        self, *, survey: str, night: str, then: str, made: str, promote: str, discard: str, **kwargs: Any
    ) -> None:
        kwargs.pop("params", None)  # those of the DAG, which are merged again
        super().__init__(
            subject="A replay is ready",
            options=["Promote", "Discard"],
            options_mapping={"Promote": promote, "Discard": discard},
            **kwargs,
        )
        self.survey = survey
        self.night = night
        self.then = then
        self.made = made
        self.promote = promote
        self.discard = discard

    def execute(self, context: Any) -> Any:
        """Go on at once, or park until somebody answers."""
        told = context["ti"].xcom_pull(task_ids=self.made)
        if told["equal"] and not told["enters"]:
            self.log.info("%s: nothing is to be decided", told["message"])
            return self.do_branch(context, self.discard)
        if self.then == PROMOTE:
            return self.do_branch(context, self.promote)
        if self.then == KEEP:
            self.log.info("kept: fink replay promote %s, or fink replay discard %s", self.night, self.night)
            return self.do_branch(context, None)
        self.subject = f"The replay of night {self.night} of {self.survey} is ready"
        lines = [
            f"- {name}: {counts['alerts']} alerts ({', '.join(counts['why'])})"
            for name, counts in told["modules"].items()
        ]
        report = report_url(self.survey, self.night)
        self.body = BODY.format(message=told["message"], modules="\n".join(lines), report=report)
        return super().execute(context)
