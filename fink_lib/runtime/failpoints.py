"""Places where a test can kill a driver: the process dies there as by ``kill -9``, nothing is cleaned up.

Two ways to arm one: ``FINK_FAILPOINT=<name>`` in the environment (dies at each pass), or a file ``failpoint`` in the
stage's run folder that holds the name (dies once, because the file goes first). Unarmed, a pass costs one ``stat``.
"""

from __future__ import annotations

import os
import signal
import time

from fink_lib.config import Settings


def failpoint(settings: Settings, survey: str, stage: str, name: str) -> None:
    """Die here if this failpoint is armed.

    Parameters
    ----------
    settings : Settings
        The installation.
    survey, stage : str
        Whose driver this is.
    name : str
        The place, for example ``before_commit``.
    """
    if os.environ.get("FINK_FAILPOINT") == name:
        _die()
    file = settings.run_dir(survey, stage) / "failpoint"
    try:
        armed = file.read_text().strip()
    except FileNotFoundError:
        return
    if armed == name:
        file.unlink(missing_ok=True)
        _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60.0)  # the signal is asynchronous: nothing of the caller may run on meanwhile
