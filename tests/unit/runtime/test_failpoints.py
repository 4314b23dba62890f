from __future__ import annotations

import os
import subprocess
import sys

from fink_lib.config import Settings

CODE = (
    "from pathlib import Path; import sys\n"
    "from fink_lib.config import Settings; from fink_lib.runtime.failpoints import failpoint\n"
    "s = Settings(home=Path(sys.argv[1]))\n"
    "failpoint(s, 'ztf', 'raw2science', 'other'); print('passed other', flush=True)\n"
    "failpoint(s, 'ztf', 'raw2science', 'here'); print('passed here', flush=True)"
)


def run(home, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CODE, str(home)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=30,
    )


def test_an_armed_variable_kills_at_its_place_each_time(tmp_path) -> None:
    for _ in range(2):
        answer = run(tmp_path, FINK_FAILPOINT="here")
        assert answer.returncode == -9
        assert answer.stdout == "passed other\n"


def test_an_armed_file_kills_once(tmp_path) -> None:
    file = Settings(home=tmp_path).run_dir("ztf", "raw2science") / "failpoint"
    file.parent.mkdir(parents=True)
    file.write_text("here\n")
    assert run(tmp_path).returncode == -9
    assert not file.exists()
    assert run(tmp_path).returncode == 0


def test_an_unarmed_failpoint_passes(tmp_path) -> None:
    assert run(tmp_path).stdout == "passed other\npassed here\n"
