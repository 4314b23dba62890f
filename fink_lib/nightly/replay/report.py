"""The report of a replay: what would change, as text, JSON, HTML, and the whole list of alerts as Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from fink_lib.nightly.ledger_page import PAGE, Section, html_table
from fink_lib.runtime.files import write_json

if TYPE_CHECKING:
    from fink_lib.nightly.replay.difference import Difference

SHOWN = 200


def write_report(folder: Path, difference: Difference) -> None:
    """Write ``difference.json``, ``.txt``, ``.html`` and ``alerts.parquet``.

    Parameters
    ----------
    folder : Path
        Where; made if it is missing.
    difference : Difference
        What the comparison found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(difference.alerts, folder / "alerts.parquet")
    (folder / "difference.txt").write_text("\n".join(report_lines(difference.summary)) + "\n")
    (folder / "difference.html").write_text(report_page(difference.summary))
    write_json(folder / "difference.json", difference.summary)


def sections(summary: Mapping[str, Any]) -> list[Section]:
    """Give the tables of the report: title, headings, rows."""
    tables = summary["tables"]
    told: list[Section] = [
        (
            "Tables",
            ["table", "rows live", "rows replay", "content"],
            [
                [
                    name,
                    sides["live"]["rows"],
                    sides["shadow"]["rows"],
                    "equal" if sides["equal"] else f"{sides['live']['digest'][:12]} / {sides['shadow']['digest'][:12]}",
                ]
                for name, sides in tables.items()
            ],
        ),
        ("Alerts", ["what", "alerts"], [[name.replace("_", " "), n] for name, n in summary["alerts"].items()]),
        (
            "Versions that differ",
            ["module, catalogue or model", "live", "replay"],
            [[name, ", ".join(v["live"]) or "none", v["shadow"] or "none"] for name, v in summary["versions"].items()],
        ),
        (
            "Whose output changed, and why",
            ["module", "alerts", "why"],
            [
                [name, counts["alerts"], "; ".join(f"{why} ({number})" for why, number in counts["why"].items())]
                for name, counts in summary["modules"].items()
            ],
        ),
        ("Columns", ["column", "alerts"], _pairs(summary["columns"])),
        ("Classes", ["change", "alerts"], _pairs(summary["classes"])),
        ("Enter a filter", ["filter", "alerts"], _pairs(summary["enters"])),
        ("Leave a filter", ["filter", "alerts"], _pairs(summary["leaves"])),
    ]
    reasons = sorted({*summary["rejected"]["live"], *summary["rejected"]["shadow"]})
    sides = (summary["rejected"]["live"], summary["rejected"]["shadow"])
    told.append(("Rejected", ["reason", "live", "replay"], [[r, *(side.get(r, 0) for side in sides)] for r in reasons]))
    told.append(
        (
            "First alerts",
            ["alert", "object", "what", "why", "class", "enters", "leaves"],
            [_alert(row) for row in summary["first"][:SHOWN]],
        )
    )
    return [section for section in told if section[2]]


def report_lines(summary: Mapping[str, Any]) -> list[str]:
    """Give the report as plain lines."""
    lines = [_title(summary), _how(summary)]
    for title, headings, rows in sections(summary):
        cells = [headings, *([str(cell) for cell in row] for row in rows)]
        widths = [max(len(line[place]) for line in cells) for place in range(len(headings))]
        lines += ["", title]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
        ]
    return lines


def report_page(summary: Mapping[str, Any]) -> str:
    """Give the report as one HTML page without anything from elsewhere."""
    parts = [f"<p>{escape(_how(summary))}</p>"]
    for title, headings, rows in sections(summary):
        parts.append(f"<h2>{escape(title)}</h2>{html_table(headings, rows)}")
    return PAGE.format(title=escape(_title(summary)), body="\n".join(parts))


def _title(summary: Mapping[str, Any]) -> str:
    return f"Replay of night {summary['night']} of {summary['survey']}"


def _how(summary: Mapping[str, Any]) -> str:
    pins = ", ".join(f"{name} {version}" for name, version in summary["pins"].items())
    return f"From table {summary['start']}, begun {summary['began']}, " + (
        f"pinned: {pins}" if pins else "versions of now"
    )


def _pairs(counts: Mapping[str, int]) -> list[list[Any]]:
    return [[name, number] for name, number in counts.items()]


def _alert(row: Mapping[str, Any]) -> list[Any]:
    classes = (row["class_before"], row["class_after"])
    moved = f"{classes[0]} -> {classes[1]}" if classes[0] != classes[1] else (classes[0] or "")
    told = [", ".join(row[name] or []) for name in ("enters", "leaves")]
    return [
        str(row["alert_id"]),
        row["object_id"],
        row["what"],
        "; ".join(row["why"] or row["modules"] or []),
        moved,
        *told,
    ]
