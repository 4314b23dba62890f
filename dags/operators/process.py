"""Tasks that are processes: their output streams into the task log, and ending the task ends the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator

from fink_lib.config import load_settings, project_root
from fink_lib.errors import EXIT_LOCKED, EXIT_OK, EXIT_USAGE, ConfigError, LockedError, TransientError

_GRACE_S = 15.0


def process_environment(home: Path) -> dict[str, str]:
    """Environment of a process: the one of the task, without what Airflow added for itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
    return {**kept, "FINK_HOME": str(home), "PYTHONUNBUFFERED": "1"}


class ProcessOperator(BaseOperator):
    """What all tasks share that run a process."""

    _process: subprocess.Popen[str] | None = None

    def run_process(self, command: list[str]) -> int:
        """Run a command to its end and give its exit code."""
        self.log.info("running: %s", " ".join(command))
        self._process = subprocess.Popen(
            command,
            cwd=project_root(),
            env=process_environment(load_settings().home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        with self._process as process:
            assert process.stdout is not None
            for line in process.stdout:
                self.log.info(line.rstrip())
            return process.wait()

    def on_kill(self) -> None:
        """End the process: whatever it had done, it may be repeated."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


class FinkCommand(ProcessOperator):
    """Run a ``fink`` command that may be repeated.

    Parameters
    ----------
    words : list of str
        The command's words after ``fink`` (templated); one that is rendered empty is left out.
    """

    template_fields = ("words",)
    ui_color = "#dfe8d5"

    def __init__(self, *, words: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = words

    def execute(self, context: Any) -> None:
        """Run it.

        Raises
        ------
        ConfigError
            If the command was wrong (not retried).
        LockedError, TransientError
            If something else holds the lock, or it failed (retried).
        """
        words = [part for word in self.words for part in word.split()]
        code = self.run_process([sys.executable, "-m", "fink_lib.cli", *words])
        text = f"fink {' '.join(words)} ended with code {code}; its output is above"
        if code == EXIT_USAGE:
            raise ConfigError(text)
        if code == EXIT_LOCKED:
            raise LockedError(text)
        if code != EXIT_OK:
            raise TransientError(text)
