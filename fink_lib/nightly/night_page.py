"""The page of a night: one sheet that a scientist reads at breakfast, and that prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from fink_lib.nightly.coverage import PIXEL_DEG2
from fink_lib.nightly.night_figures import class_mix, latency_ladder, magnitude_histograms, sky_map

if TYPE_CHECKING:
    from fink_lib.nightly.summarise import NightSummary

ROWS_SHOWN = 15

STYLE = """
:root { --ink: #1d2733; --faint: #6b7887; --line: #dfe5ec; --good: #1f7a54; --bad: #b3372a; --card: #f6f8fa; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1060px; padding: 28px 24px 48px; color: var(--ink); background: #fff;
  font: 14px/1.45 Helvetica, Arial, sans-serif; }
h1 { font-size: 25px; margin: 0 0 2px; } h2 { font-size: 15px; margin: 0 0 8px; }
.lead { color: var(--faint); margin: 0 0 18px; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 0 0 18px; }
.tile { flex: 1 1 120px; background: var(--card); border-radius: 6px; padding: 10px 12px; }
.tile b { display: block; font-size: 21px; font-variant-numeric: tabular-nums; } .tile span { color: var(--faint); }
.verdict { border-left: 4px solid var(--good); padding: 8px 12px; margin: 0 0 20px; background: var(--card); }
.verdict.odd { border-color: #c98a1b; } .verdict.bad { border-color: var(--bad); }
.verdict ul { margin: 6px 0 0; padding-left: 18px; }
.grid { display: grid; grid-template-columns: 1fr 1fr; gap: 24px 28px; } .wide { grid-column: 1 / -1; }
section { break-inside: avoid; } svg { width: 100%; height: auto; display: block; }
svg text { font-family: Helvetica, Arial, sans-serif !important; }
.wide svg { max-width: 760px; margin: 0 auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { padding: 2px 8px 2px 0; border-bottom: 1px solid var(--line); text-align: left; font-weight: normal; }
th { color: var(--faint); } td + td, th + th { text-align: right; }
.left td + td { text-align: left; overflow-wrap: anywhere; }
footer { margin-top: 24px; color: var(--faint); font-size: 12px; }
@media (max-width: 760px) { .grid { grid-template-columns: 1fr; } }
@media print { @page { size: A4; margin: 12mm; } body { max-width: none; padding: 0; font-size: 11px; }
  .tile b { font-size: 16px; } details { display: none; } * { print-color-adjust: exact; } }
"""


def night_page(summary: NightSummary, before: Sequence[Mapping[str, int]]) -> str:
    """Write the page of a night.

    Parameters
    ----------
    summary : NightSummary
        All that is told of the night.
    before : sequence of mapping
        Classes and counts of the nights that it is compared with.

    Returns
    -------
    str
        HTML that needs nothing from outside.
    """
    tables = summary.tables
    title = f"{summary.survey.upper()} night of {datetime.strptime(summary.night, '%Y%m%d'):%-d %B %Y}"
    files = ", ".join(f'<a href="summary.{kind}">{kind}</a>' for kind in ("json", "csv", "vot", "png"))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>
<h1>{title}</h1>
<p class="lead">{_lead(summary)}</p>
{_tiles(summary)}
{_verdict(summary)}
<div class="grid">
<section class="wide"><h2>Where on the sky</h2>{sky_map(summary.coverage)}</section>
<section><h2>How bright</h2>{magnitude_histograms(summary.places)}
{_gap()}<h2>How fast</h2>{latency_ladder(tables["latency"])}</section>
<section><h2>What they are</h2>{class_mix(tables["class"], before)}</section>
<section><h2>Filters</h2>{_counts("filter", "sent", tables["filters"])}</section>
<section><h2>Fields</h2>{_fields(summary)}</section>
<section><h2>Ledger</h2>{_ledger(tables["ledger"])}</section>
<section><h2>Not available</h2>{_missing(tables["basic"])}</section>
</div>
<details><summary>Versions</summary>{_versions(tables["versions"])}</details>
<footer>Also as {files}. Rules that were judged: <a href="data_docs/index.html">Data Docs</a>.</footer>
</body></html>
"""


def _lead(summary: NightSummary) -> str:
    basic = summary.tables["basic"]
    area = len(set(summary.coverage.column("pixel").to_pylist())) * PIXEL_DEG2
    return (
        f"{_number(basic['sci'])} of {_number(basic['raw'])} alerts became science, from {basic['exposures']} "
        f"exposures of {basic['fields']} fields, over {_number(round(area))} square degrees."
    )


def _tiles(summary: NightSummary) -> str:
    basic, latency = summary.tables["basic"], summary.tables["latency"]
    delay = latency.get("sent_s.p95")
    tiles = [
        (_number(basic["raw"]), "alerts received"),
        (_number(basic["sci"]), "science alerts"),
        (f"{_number(basic['n_g'])} / {_number(basic['n_r'])}", "in g / in r"),
        (_number(sum(summary.tables["filters"].values())), "messages to users"),
        (_number(basic["quarantined"]), "bad messages"),
        (f"{delay:.3g} s" if delay is not None else "–", "to users, 95 % within"),
    ]
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{a}</b><span>{b}</span></div>' for a, b in tiles)
        + ("</div>")
    )


def _verdict(summary: NightSummary) -> str:
    quality = summary.tables["quality"]
    judged = sum(quality.values())
    if not judged:
        return '<div class="verdict odd">The night was not judged yet.</div>'
    kind = "bad" if quality["critical"] else "odd" if quality["warning"] or quality["released"] else ""
    told = f"{quality['passed']} of {judged} quality rules hold"
    told += f", {quality['warning']} warnings" if quality["warning"] else ""
    told += f", {quality['released']} released by a person" if quality["released"] else ""
    told += f"; {quality['not_applied']} do not apply to a night like this" if quality["not_applied"] else ""
    items = [*summary.warnings, *(f"{one.decision} by {one.by}: {one.reason}" for one in summary.decided)]
    listed = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<div class="verdict {kind}"><b>{told}.</b>{f"<ul>{listed}</ul>" if listed else ""}</div>'


def _counts(head: str, unit: str, counts: Mapping[str, int]) -> str:
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [(escape(name), _number(number)) for name, number in largest[:ROWS_SHOWN]]
    return _table((head, unit), rows, len(largest) - ROWS_SHOWN)


def _fields(summary: NightSummary) -> str:
    rows = sorted(summary.fields.to_pylist(), key=lambda row: (-row["alerts"], row["field"] or 0, row["band"] or ""))
    shown = [
        (
            "–" if row["field"] is None else str(row["field"]),
            row["band"] or "–",
            _number(row["exposures"]),
            _number(row["alerts"]),
            "–" if row["depth_mag"] is None else f"{row['depth_mag']:.1f}",
        )
        for row in rows[:ROWS_SHOWN]
    ]
    return _table(("field", "band", "exposures", "alerts", "depth"), shown, len(rows) - ROWS_SHOWN)


def _ledger(ledger: Mapping[str, int]) -> str:
    return _table(("counted", "number"), [(escape(name.replace(".", ": ")), _number(n)) for name, n in ledger.items()])


def _missing(basic: Mapping[str, int]) -> str:
    prefix = "unavailable_"
    missing = {name.removeprefix(prefix): n for name, n in basic.items() if name.startswith(prefix) and n}
    if not missing:
        return "<p>Every module had what it needs.</p>"
    return _counts("module", "alerts that wait", missing)


def _versions(versions: Mapping[str, str]) -> str:
    return _table(("of", "version"), [(escape(name), escape(one)) for name, one in versions.items()], kind="left")


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], more: int = 0, kind: str = "") -> str:
    listed = list(rows)
    if not listed:
        return "<p>None.</p>"
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in listed)
    rest = f'<tr><td colspan="{len(heads)}">and {more} more</td></tr>' if more > 0 else ""
    return f'<table class="{kind}"><tr>{head}</tr>{body}{rest}</table>'


def _number(value: Any) -> str:
    return f"{value:,}"


def _gap() -> str:
    return '<div style="height:18px"></div>'
