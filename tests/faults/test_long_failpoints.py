"""Each stream is killed at every failpoint there is, while alerts keep coming."""

from __future__ import annotations

import re

import pytest

from fink_lib.config import project_root
from tests.faults.harness import Harness
from tests.faults.storm import EVERYWHERE, rage


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_nothing_is_lost_or_doubled_when_every_stream_dies_at_every_failpoint(fresh: Harness) -> None:
    aftermath = rage(fresh, EVERYWHERE)
    assert aftermath.survived == []
    assert aftermath.problems == []
    assert aftermath.doubled == {}, "two drivers of a stage were at work at once"


def test_no_failpoint_of_the_code_is_left_out():
    code = {path.stem: path.read_text() for path in (project_root() / "fink_lib" / "streams").glob("*.py")}
    named = {stage: set(re.findall(r'failpoint\([^)]*?"([a-z_]+)"\)', code[stage])) for stage in EVERYWHERE}
    common = set(re.findall(r'failpoint\("([a-z_]+)"\)', code["stage"]))
    tables = {f"after_{table}" for table in ("cutouts", "quarantine", "raw")}
    for stage, names in named.items():
        expected = names | common | (tables if stage == "stream2raw" else set())
        assert set(EVERYWHERE[stage]) == expected
