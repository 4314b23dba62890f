"""What docs/filters.md says of the filters is what runs."""

from __future__ import annotations

import re

import pytest

from fink_lib.config import project_root
from fink_lib.filters import KINDS, Filter, load_filters
from fink_lib.filters.files import survey_terms
from fink_lib.surveys import get_survey

PAGE = (project_root() / "docs" / "filters.md").read_text()
FILTERS = load_filters(get_survey("ztf"), KINDS)


@pytest.mark.parametrize("f", FILTERS.filters, ids=FILTERS.names)
def test_the_page_has_the_criteria_of_each_filter(f: Filter) -> None:
    (kind,) = f.kinds
    part = PAGE.partition(f"<!-- {kind} -->")[2].partition(f"<!-- {kind} end -->")[0]
    (row,) = [line for line in part.splitlines() if line.startswith(f"| `{f.name}` |")]
    condition = " ".join(line.strip() for line in f.text.splitlines() if not line.startswith("--"))
    assert f"`{condition}`" in row
    assert all(f"{key} {f.header[key]}" in row for key in ("order", "limit", "per") if key in f.header)


def test_the_page_has_no_filter_that_is_gone_and_every_term() -> None:
    assert set(re.findall(r"^\| `([a-z_0-9]+)` \| `", PAGE, re.MULTILINE)) == set(FILTERS.names)
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert {term.name for term in survey_terms(get_survey("ztf")).words.values()} <= named
