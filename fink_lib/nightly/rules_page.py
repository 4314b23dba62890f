"""The first page of a night's Data Docs: every rule with what it saw, worst first, complete without any network.

The pages that Great Expectations writes load their tables and styles from elsewhere; where a browser gets nothing from
there, they list nothing. They stay beside this one, each linked from its suite.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from fink_lib.nightly.frames import ARCHIVE_SUITES, NIGHT_SUITES
from fink_lib.nightly.judging import Finding
from fink_lib.nightly.ledger_page import PAGE, html_table

NAME = "index.html"
ORDER = (*NIGHT_SUITES, *ARCHIVE_SUITES)
HEADINGS = ("number", "severity", "outcome", "seen", "because", "needs")


def write_rules_page(docs: Path, survey: str, night: str, findings: Sequence[Finding], told: str) -> Path:
    """Write the first page of Data Docs.

    Parameters
    ----------
    docs : Path
        Their folder.
    survey, night : str
        Whose night.
    findings : sequence of Finding
        What every rule said, worst first.
    told : str
        The verdict, in one sentence.

    Returns
    -------
    Path
        Of the page; the same findings give the same bytes.
    """
    pages = {path.name: path.relative_to(docs) for path in sorted(docs.glob("validations/**/*.html"))}
    failed = [one for one in findings if one.outcome == "failed"]
    style = ' class="open"' if any(one.severity == "critical" for one in failed) else ""
    sentence = told[:1].upper() + told[1:].rstrip(".")
    parts = [f"<p{style}>{escape(sentence)}.</p>"]
    if failed:
        parts += ["<h2>What failed</h2>", _table(failed, whole_name=True)]
    for suite in sorted({one.suite for one in findings}, key=ORDER.index):
        rules = sorted((one for one in findings if one.suite == suite), key=lambda one: one.column)
        held = sum(one.outcome == "passed" for one in rules)
        parts.append(f"<h2>{escape(suite)}: {held} of {len(rules)} rules hold</h2>")
        page = pages.get(f"night-{suite}.html")
        if page is not None:
            parts.append(f'<p><a href="{quote(page.as_posix())}">As Great Expectations tells it</a></p>')
        parts.append(_table(rules))
    title = f"Data Docs of night {night} of {survey}"
    path = docs / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PAGE.format(title=escape(title), body="\n".join(parts)))
    return path


def _table(rules: Sequence[Finding], whole_name: bool = False) -> str:
    return html_table(
        HEADINGS,
        [
            [
                one.name if whole_name else one.column,
                one.severity,
                one.outcome,
                one.seen or (f"{one.value:.4g}" if one.value is not None else ""),
                one.reason,
                one.needs,
            ]
            for one in rules
        ],
    )
