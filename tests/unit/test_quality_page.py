"""What docs/quality.md says of the rules is what judges the nights."""

from __future__ import annotations

import runpy

from fink_lib.config import project_root
from fink_lib.nightly.frames import ARCHIVE_SUITES, NIGHT_SUITES

ROOT = project_root()


def test_the_page_is_what_the_suites_say():
    written = (ROOT / "docs" / "quality.md").read_text()
    made = runpy.run_path(str(ROOT / "docs" / "quality_rules.py"))
    assert written == made["page"](), "call python docs/quality_rules.py"
    assert tuple(made["SUITES"]) == (*NIGHT_SUITES, *ARCHIVE_SUITES)


def test_every_suite_has_its_sql_and_nothing_lies_about():
    folder = ROOT / "expectations" / "ztf"
    suites = {*NIGHT_SUITES, *ARCHIVE_SUITES}
    assert {path.stem for path in folder.glob("*.json")} == suites
    assert {path.stem for path in folder.glob("*.sql")} == {*suites, "numbers"}
