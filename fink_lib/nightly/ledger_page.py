"""The ledger of a night for people: as tables for the terminal, and as one page among the night's reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

Section = tuple[str, list[str], list[list[Any]]]
"""Title, headings, rows."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b2733; }}
table {{ border-collapse: collapse; margin: .5rem 0 1.5rem; }}
th, td {{ border-bottom: 1px solid #d7dee5; padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
code {{ font-size: 13px; }} h2 {{ margin-top: 2rem; font-size: 1.1rem; }} .open {{ color: #a3261b; }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def html_table(headings: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Write a table; numbers stand to the right."""
    head = "".join(f"<th>{escape(name)}</th>" for name in headings)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def ledger_sections(told: Mapping[str, Any]) -> list[Section]:
    """Give the tables of a ledger.

    Parameters
    ----------
    told : mapping
        What :func:`fink_lib.nightly.ledger.night_ledger` gave.
    """
    stages = {stage["stage"]: stage for stage in told["stages"]}
    details = {name: stage["details"] for name, stage in stages.items()}
    names = ("topic", "partition", "first", "end", "raw", "quarantined", "other_nights", "missing", "doubled")
    partitions = details.get("stream2raw", {}).get("partitions", [])
    topics = details.get("distribution", {}).get("by_topic", {})
    filters = details.get("distribution", {}).get("by_filter", {})
    found: list[Section] = [
        (
            f"Ledger of night {told['night']}",
            ["stage", "in", "", "out", "state", "counted in"],
            [
                [
                    stage["stage"],
                    _side(stage["left"]),
                    "=" if stage["difference"] == 0 else "is not",
                    _side(stage["right"]),
                    "closed" if stage["closed"] else "open",
                    stage["source"],
                ]
                for stage in told["stages"]
            ],
        ),
        (
            "Kafka's partitions",
            [name.replace("_", " ") for name in names],
            [[row[name] for name in names] for row in partitions],
        ),
        ("Quarantined", ["reason", "messages"], _pairs(details.get("stream2raw", {}).get("quarantined_by_reason", {}))),
        ("Rejected", ["reason", "alerts"], _pairs(details.get("raw2science", {}).get("rejected_by_reason", {}))),
        (
            "Topics against table sent",
            ["topic", "sent", "messages", "difference"],
            [[name, c["sent"], c["messages"], c["messages"] - c["sent"]] for name, c in topics.items()],
        ),
        ("Sent, by filter", ["filter", "rows"], _pairs(filters)),
        (
            "Archive, at its last check",
            ["table", "rows in the lake", "in HBase", "state"],
            [
                [one["table"], one["rows"], one["found"], "equal" if one["equal"] else one["sentence"]]
                for one in told.get("archive", [])
            ],
        ),
        (
            "What is wrong",
            ["stage", "what", "rows", "batches", "alerts", "places"],
            [
                [
                    finding["stage"],
                    finding["what"],
                    finding["count"],
                    ", ".join(finding["batches"]),
                    _some(finding["ids"]),
                    _some(finding["places"]),
                ]
                for stage in told["stages"]
                for finding in stage["findings"]
            ],
        ),
    ]
    return [section for section in found if section[2]]


def ledger_page(told: Mapping[str, Any]) -> str:
    """Give the ledger as one HTML page without anything from elsewhere."""
    parts = []
    if told["closed"]:
        parts.append("<p>Closed: every message is accounted for.</p>")
    else:
        sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in told["differences"])
        parts.append(f'<p class="open">Open: this night goes no further.</p><ul class="open">{sentences}</ul>')
    for title, headings, rows in ledger_sections(told)[1:]:
        parts.append(f"<h2>{escape(title)}</h2>{html_table(headings, rows)}")
    (_, headings, rows), *_ = ledger_sections(told)
    title = f"Ledger of night {told['night']} of {told['survey']}"
    return PAGE.format(title=escape(title), body=html_table(headings, rows) + "\n".join(parts))


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f'<td class="n">{value}</td>'
    return f"<td>{'' if value is None else escape(str(value))}</td>"


def _side(counts: Mapping[str, int]) -> str:
    return " + ".join(f"{count} {name}" for name, count in counts.items())


def _pairs(counts: Mapping[str, int]) -> list[list[Any]]:
    return [[name, number] for name, number in counts.items()]


def _some(values: list[Any], limit: int = 5) -> str:
    more = f" and {len(values) - limit} more" if len(values) > limit else ""
    return ", ".join(str(value) for value in values[:limit]) + more
