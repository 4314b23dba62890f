"""The page on adding a module works when it is followed to the letter."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from fink_lib.config import Settings, project_root
from fink_lib.science import Runner
from tests.unit.science.toys import ToySurvey

PAGE = project_root() / "docs" / "science" / "adding-a-module.md"


class SurveyWithTheColumn(ToySurvey):
    """The page's module fills a column that the real survey does not have."""

    fink_schema = ToySurvey.fink_schema.append(pa.field("example_mag", pa.float64()))


def test_the_page_can_be_followed_to_the_letter(science_settings: Settings, varied_alerts: pa.Table) -> None:
    file, test = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    module: dict[str, Any] = {}
    exec(compile(file, str(PAGE), "exec"), module)
    survey = SurveyWithTheColumn(1 << 20)
    runner = Runner(survey, module["build"](survey, science_settings))
    tests: dict[str, Any] = {}
    exec(compile(test, str(PAGE), "exec"), tests)
    tests["test_example_by_hand"](runner)
    tests["test_example_keeps_the_contract"](runner, varied_alerts)
