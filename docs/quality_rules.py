"""Write ``docs/quality.md`` from the suites of ``expectations/``: ``python docs/quality_rules.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fink_lib.config import project_root

PAGE = project_root() / "docs" / "quality.md"
SUITES = {
    "raw": "what stream2raw has received, before any science",
    "science": "what raw2science has made of it",
    "science_sample": "10,000 science alerts, row by row",
    "distribution": "what the live filters have sent",
    "drift": "the night against the last 30 archived nights",
    "archive": "the night in HBase",
    "night_summary": "the summary of the night",
}
HEAD = """# Quality of a night

Two gates of the nightly chain judge every night by the rules below. `validate` judges what the streams have made,
before anything is selected, archived or published; `validate_archive` judges archive and summary, before the night is
published. Rules are JSON in `expectations/<survey>/<suite>.json`, and the numbers that they judge come from the SQL
beside it ([ADR 10](adr/0010-quality-is-judged-on-one-row-from-duckdb.md)).

- **critical**: `validate` holds the night until a person decides ([what to press](operations.md#a-night-is-held));
  `validate_archive` fails the night, and its stages are run again.
- **warning**: the night goes on; the warning is in its summary and on its page.
- **info**: told, for whoever looks.

A rule that *needs* something does not apply to a night without it: the verdict, the summary and table `quality` say so.
`…_off` counts deviations: the distance from the median of the past nights, in units of their robust scatter. A night's
numbers, and what each rule said of it, stay in table `quality` of the lake; Data Docs are in
`reports/<survey>/<night>/data_docs` and `data_docs_archive`, behind the button *Report* of the two tasks in Airflow.
Their first page has every rule and needs no network. It links to the pages of Great Expectations, which load their
styles from elsewhere.

A new rule is an entry in the suite and a number in its SQL, with a reason, a severity, and a test that breaks a night
on purpose (`tests/unit/nightly/test_broken_nights.py`). Then `python docs/quality_rules.py` writes this page again.
"""


def page(survey: str = "ztf") -> str:
    """Give the page."""
    folder = project_root() / "expectations" / survey
    parts = [HEAD]
    for suite, what in SUITES.items():
        rules = json.loads((folder / f"{suite}.json").read_text())["expectations"]
        parts.append(
            f"\n## {suite}: {what}\n\n| number | severity | must be | needs | because |\n|---|---|---|---|---|\n"
        )
        parts += [_row(rule) for rule in rules]
    return "".join(parts)


def _row(rule: dict[str, Any]) -> str:
    meta = rule["meta"]
    cells = [f"`{rule['kwargs']['column']}`", rule["severity"], _range(rule), meta.get("needs", ""), meta["reason"]]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _range(rule: dict[str, Any]) -> str:
    kwargs = rule["kwargs"]
    least, most = kwargs.get("min_value"), kwargs.get("max_value")
    share = f", {100 * kwargs['mostly']:g} % of them" if "mostly" in kwargs else ""
    if rule["type"].endswith("not_be_null"):
        return "present"
    if "regex" in kwargs:
        return f"like `{kwargs['regex']}`"
    if "value_set" in kwargs:
        return "one of " + ", ".join(map(str, kwargs["value_set"]))
    if least == most:
        return f"{least:g}"
    if least is None:
        return f"at most {most:g}"
    if most is None:
        return f"at least {least:g}"
    low = "above " if kwargs.get("strict_min") else ""
    high = "below " if kwargs.get("strict_max") else ""
    return f"{low}{least:g} to {high}{most:g}{share}"


def main(path: Path = PAGE) -> None:
    """Write the page."""
    path.write_text(page())


if __name__ == "__main__":
    main()
