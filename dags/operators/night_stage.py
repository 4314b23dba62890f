"""A nightly task is a process: ``python -m jobs.nightly --stage S --night N --json FILE``.

Its output streams into the task log, its verdict (JSON) becomes the task's XCom. Repeating a task repeats the command.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException

from dags.operators.process import ProcessOperator
from fink_lib.errors import EXIT_LOCKED, EXIT_OK, EXIT_USAGE, ConfigError, LockedError, TransientError
from fink_lib.runtime.files import read_json


def stage_command(survey: str, stage: str, night: str, verdict: Path, table: str = "") -> list[str]:
    """Give the words that run one stage of one night."""
    words = [sys.executable, "-m", "jobs.nightly", "--survey", survey, "--stage", stage, "--night", night]
    return [*words, *(["--table", table] if table else []), "--json", str(verdict)]


def judge(stage: str, night: str, code: int, verdict: dict[str, Any] | None) -> dict[str, Any]:
    """Turn exit code and verdict of a stage into the task's fate.

    Returns
    -------
    dict
        The verdict of a stage that is done. One that holds the night is done too: a person decides in the next task.

    Raises
    ------
    LockedError
        If another process works on this night (retried).
    ConfigError
        If a person must change something (not retried).
    AirflowFailException
        If the stage did its work and the answer is no: the same command would answer the same (not retried).
    TransientError
        If a service was away, or the process died (retried).
    """
    message = str((verdict or {}).get("message") or f"it ended with code {code}; its output is above")
    text = f"{stage} of night {night}: {message}"
    if code == EXIT_LOCKED:
        raise LockedError(text)
    if code == EXIT_USAGE or (verdict or {}).get("error_kind") == "config":
        raise ConfigError(text)
    if verdict is None or "error_kind" in verdict:
        raise TransientError(text)
    if verdict.get("held") and "ok" in verdict:
        return verdict
    if code != EXIT_OK or not verdict.get("ok", True):
        raise AirflowFailException(text)
    return verdict


class NightStage(ProcessOperator):
    """Run one stage of the nightly chain.

    Parameters
    ----------
    survey, stage : str
        Which stage of which survey.
    night : str
        ``YYYYMMDD`` (templated).
    table : str
        One table, for stages that work on one at a time (templated).
    result_key : str
        Return this value of the verdict instead of the whole of it.
    asset : Asset, optional
        Outlet that gets an event with the night.
    """

    template_fields = ("night", "table")
    ui_color = "#d5dff2"

    def __init__(
        self,
        *,
        survey: str,
        stage: str,
        night: str,
        table: str = "",
        result_key: str = "",
        asset: Asset | None = None,
        **kwargs: Any,
    ) -> None:
        if asset is not None:  # a mapped task brings its own (empty) outlets
            kwargs["outlets"] = [asset]
        super().__init__(**kwargs)
        self.survey = survey
        self.stage = stage
        self.night = night
        self.table = table
        self.result_key = result_key
        self.asset = asset

    def execute(self, context: Any) -> Any:
        """Run the stage to its end."""
        with tempfile.TemporaryDirectory(prefix="fink-verdict-") as folder:
            file = Path(folder) / "verdict.json"
            command = stage_command(self.survey, self.stage, self.night, file, self.table)
            code = self.run_process(command)
            verdict = judge(self.stage, self.night, code, read_json(file))
        self.log.info("done: %s", verdict.get("message", "ok"))
        if self.asset is not None:
            context["outlet_events"][self.asset].extra = {"night": self.night, "survey": self.survey}
        return verdict[self.result_key] if self.result_key else verdict
