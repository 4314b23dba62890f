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
            assert answer is None or answer.status_code == (
                400 if '"problem"' in block or "problem =" in block else 200
            )
    return namespace


def test_the_python_examples_give_what_the_text_says(names):
    assert len(names["alerts"]) == 3
    assert list(names["light_curves"].columns) == [
        "i:objectId", "i:jd", "i:fid", "i:magpsf", "i:sigmapsf", "v:rate"
    ]  # fmt: skip
    assert list(names["latest"].columns) == ["i:objectId", "i:jd"]
    assert "ZTF18aaaaaah" in set(names["around"]["i:objectId"])
    assert names["nearest"] < 1
    assert names["image"].content.startswith(b"\x89PNG")
    assert names["pixels"].shape == (63, 63)
    assert len(names["table"]) == 3
    assert len(names["typed"]) > 10
    assert len(names["nights"]) == 3
    assert names["months"]["basic:nights"].tolist() == [2]
    assert "closed" in names
    assert "sso_ztf_candidates" in names["taken_by"]
    assert names["problem"]["errors"] == [{"arg": "objectId", "reason": "required"}]


@pytest.mark.parametrize("command", [line for block in blocks("bash") for line in block.splitlines()])
def test_the_commands_answer(client, command, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    address = str(client.base_url).rstrip("/")
    run = subprocess.run(
        ["bash", "-c", command],
        env={"FINK_API": address, "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        timeout=30,
    )
    assert run.returncode == 0
    assert run.stdout
    if "http_code" in command:
        assert run.stdout.strip() == b"200"
    assert b"'status': 'error'" not in run.stdout
    assert b"urn:fink:error" not in run.stdout
