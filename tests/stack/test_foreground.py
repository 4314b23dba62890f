"""A service as a container runs it: in the foreground, under the command of its image."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from fink_lib.config import project_root
from tests.stack_services import installation

FOREGROUND = [sys.executable, "-m", "fink_lib.runtime.services.foreground", "kafka"]


def run(*options: str) -> int:
    return subprocess.run([*FOREGROUND, *options], cwd=project_root(), check=False).returncode


@pytest.mark.timeout(120)
def test_a_container_runs_a_service_prepares_it_and_asks_whether_it_answers(tmp_path):
    with installation(tmp_path):
        assert run("--check") == 1
        assert run("--prepare") == 0
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(FOREGROUND, cwd=project_root(), stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60.0
            while run("--check") != 0:
                assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
                assert time.monotonic() < deadline
            process.terminate()
            assert process.wait(30) == 143  # the broker itself got the signal and ended well
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
