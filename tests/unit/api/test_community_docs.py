"""The examples of ``docs/community.md`` run as they are written."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from fink_lib.api.auth.tokens import SCOPES
from fink_lib.config import project_root
from tests.unit.api.community import header

PAGE = (project_root() / "docs" / "community.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def secret(filled_home):
    return header(filled_home, "reader")["Authorization"].partition(" ")[2]


@pytest.fixture(scope="module")
def names(client, secret):
    namespace: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINK_API", str(client.base_url).rstrip("/"))
        patch.setenv("FINK_TOKEN", secret)
        for block in blocks("python"):
            exec(block, namespace)
            answer = namespace.get("answer")
            assert answer is None or answer.status_code in (200, 201, 202, 409), (block, answer.text)
    return namespace


def test_the_examples_give_what_the_text_says(names):
    assert names["annotations"][0]["classdict"] == {"Kilonova": 0.91, "SN Ia": 0.05}
    assert names["consensus"]["votes"] == 1
    assert names["names"][0]["d:internal_name"] == "My first SN"
    assert any("never backtested" in reason for reason in names["why_not"])
    assert names["job"]["state"] == "done"
    assert "1000 are needed" in names["reasons"]
    assert {row["v:watched"] for row in names["matches"]} == {"ZTF18aaaaaah"}
    assert {row["v:source"] for row in names["near"]} == {"here", "there"}
    assert names["weighed"]["nights"] == 3


@pytest.mark.parametrize("command", [line for block in blocks("bash") for line in block.splitlines()])
def test_the_commands_answer(client, secret, command):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    environment = {"FINK_API": str(client.base_url).rstrip("/"), "FINK_TOKEN": secret, "PATH": "/usr/bin:/bin"}
    run = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, timeout=30)
    assert b'"status": "success"' in run.stdout


def test_every_scope_is_explained():
    assert re.findall(r"^\| `(\w+)` \| .* \|$", PAGE.split("| scope |")[1].split("\n\n")[0], re.MULTILINE) == list(
        SCOPES
    )
