"""The examples of ``docs/api.md`` run as they are written."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess

import pytest

from fink_lib.config import project_root

PAGE = (project_root() / "docs" / "api.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def names(client):
    namespace: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINK_API", str(client.base_url).rstrip("/"))
        for block in blocks("python"):
            with contextlib.redirect_stdout(io.StringIO()):
                exec(block, namespace)
            answer = namespace.get("answer")
            assert answer is None or answer.status_code in (200, 400), block
    return namespace


def test_the_python_examples_give_what_the_text_says(names):
    assert len(names["alerts"]) == 3
    assert list(names["light_curves"].columns) == [
        "i:objectId", "i:jd", "i:fid", "i:magpsf", "i:sigmapsf", "v:rate"
    ]  # fmt: skip
    assert len(names["table"]) == 3
    assert "sso_ztf_candidates" in names["taken_by"]
    assert names["problem"]["errors"] == [{"arg": "objectId", "reason": "required"}]


@pytest.mark.parametrize("command", [line for block in blocks("bash") for line in block.splitlines()])
def test_the_commands_answer(client, command):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    address = str(client.base_url).rstrip("/")
    run = subprocess.run(
        ["bash", "-c", command], env={"FINK_API": address, "PATH": "/usr/bin:/bin"}, capture_output=True, timeout=30
    )
    assert run.returncode == 0
    assert run.stdout
    assert b"'status': 'error'" not in run.stdout
    assert b"urn:fink:error" not in run.stdout
