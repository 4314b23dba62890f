"""The first page of Data Docs: every rule is on it, and it needs nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fink_lib.nightly.judging import Finding
from fink_lib.nightly.rules_page import write_rules_page

FOUND = [
    Finding("raw", "rb_mode_share", "between", "critical", "rb varies.", "failed", "1 (rb = <0.7>)", 1.0),
    Finding("drift", "rb_off", "between", "warning", "It is steady.", "not applied", needs="5 nights"),
    Finding("raw", "rows", "between", "warning", "There are some.", "passed", value=4000.0),
]
TOLD = "night 20240312 is held: raw.rb_mode_share is 1: rb varies."


@pytest.fixture
def page(tmp_path: Path) -> str:
    result = tmp_path / "validations" / "raw" / "20240312" / "a time" / "night-raw.html"
    result.parent.mkdir(parents=True)
    result.touch()
    return write_rules_page(tmp_path, "ztf", "20240312", FOUND, TOLD).read_text()


def test_it_says_the_verdict_and_then_what_failed(page: str) -> None:
    assert page.index("Night 20240312 is held") < page.index("What failed") < page.index("raw.rb_mode_share</td>")
    assert 'class="open"' in page and "rb varies.." not in page
    assert page.index("<h2>raw") < page.index("<h2>drift"), "suites are not in the order in which they are judged"
    assert "raw: 1 of 2 rules hold" in page and "drift: 0 of 1 rules hold" in page


def test_every_rule_is_there_with_what_it_saw_and_why(page: str) -> None:
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]
    assert ["rows", "warning", "passed", "4000", "There are some.", ""] in rows
    assert ["rb_off", "warning", "not applied", "", "It is steady.", "5 nights"] in rows
    assert ["rb_mode_share", "critical", "failed", "1 (rb = &lt;0.7&gt;)", "rb varies.", ""] in rows


def test_it_needs_no_network_and_links_to_the_pages_beside_it(page: str, tmp_path: Path) -> None:
    assert "http" not in page and "<script" not in page
    assert re.findall(r'href="([^"]+)"', page) == ["validations/raw/20240312/a%20time/night-raw.html"]


def test_a_good_night_has_no_list_of_failures(tmp_path: Path) -> None:
    page = write_rules_page(tmp_path, "ztf", "20240312", FOUND[1:], "night 20240312: 1 of 2 rules hold").read_text()
    assert "What failed" not in page and 'class="open"' not in page
