"""``fink filter``: the filters of a survey, whether a new one may run, and what it would have sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED

if TYPE_CHECKING:
    from fink_lib.filters import Filter
    from fink_lib.filters.backtest import Backtest
    from fink_lib.filters.recall import Score

Survey = Annotated[str, typer.Option(help="Survey whose columns the filter reads.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
File = Annotated[Path, typer.Argument(help="A file of header and predicate, as in sql/filters.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the ``fink`` application."""
    group = typer.Typer(help="Community filters: one SQL predicate each.", no_args_is_help=True)
    group.command("list")(list_filters)
    group.command("terms")(terms)
    group.command("check")(check)
    group.command("backtest")(backtest)
    group.command("recall")(recall)
    group.command("promote")(promote)
    group.command("withdraw")(withdraw)
    app.add_typer(group, name="filter")


def list_filters(survey: Survey = "ztf", as_json: AsJson = False) -> None:
    """Show every filter of a survey with its topic and version, promoted ones too."""
    from fink_lib.filters import KINDS, load_filters
    from fink_lib.surveys import get_survey

    settings = load_settings()
    prefix = settings.streams.substream_prefix
    filters = load_filters(get_survey(survey), KINDS, home=settings.home).filters
    if as_json:
        rows = [{"name": f.name, **f.header, "topic": f.topic(prefix), "digest": f.digest} for f in filters]
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max((len(f.topic(prefix)) for f in filters), default=0)
    for f in filters:
        typer.echo(f"{f.topic(prefix):{width}}  {f.version:>5}  {f.header['kinds']:5}  {f.header['title']}")


def terms(survey: Survey = "ztf", as_json: AsJson = False) -> None:
    """Show the words and the functions that a predicate may use beside the columns."""
    from fink_lib.filters.files import survey_terms
    from fink_lib.filters.grammar import ALLOWED_FUNCTIONS
    from fink_lib.surveys import get_survey

    words = survey_terms(get_survey(survey)).words.values()
    if as_json:
        told = [{"name": w.name, "type": str(w.kind), "meaning": w.meaning, "sql": w.text} for w in words]
        typer.echo(json.dumps({"terms": told, "functions": ALLOWED_FUNCTIONS}, indent=2))
        return
    for word in words:
        typer.echo(f"{word.name} ({word.kind}): {word.meaning}\n    {word.text}")
    typer.echo(f"functions: {', '.join(ALLOWED_FUNCTIONS)}")


def check(file: File, survey: Survey = "ztf") -> None:
    """Say whether a filter may run; if not, point at the place."""
    with _pointing():
        checked = _read(file, survey)
    reads = ", ".join(reference.name for reference in checked.predicate.references)
    typer.echo(f"{checked.name} version {checked.version} may run; it reads {reads}; digest {checked.digest[:16]}")


def backtest(
    file: Annotated[Path, typer.Argument(help="A file of header and predicate, or the name of a filter there is.")],
    nights: Annotated[str, typer.Option(help="Nights of the lake: YYYYMMDD, or A..B with both ends.")],
    survey: Survey = "ztf",
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Write a report with light curves and images there.")] = None,
    samples: Annotated[int, typer.Option(min=0, max=200, help="Alerts to show.")] = 12,
) -> None:
    """Say what a filter would have sent on past nights; the record of it is what ``promote`` asks for."""
    from fink_lib.filters import backtest as tests
    from fink_lib.filters import load_filters
    from fink_lib.filters.promotion import keep_record
    from fink_lib.lake import open_lake
    from fink_lib.surveys import get_survey

    settings = load_settings()
    with _pointing():
        chosen = _read(file, survey)
        others = load_filters(get_survey(survey), home=settings.home)
    lake = open_lake(settings, survey)
    told = tests.backtest(lake, tests.parse_nights(nights, lake.nights("science")), chosen, others, samples)
    keep_record(settings.home, told)
    if html is not None:
        from fink_lib.filters.report import write_report
        from fink_lib.science.stamps import read_stamp

        write_report(html, told, chosen, lake, read_stamp)
    if as_json:
        typer.echo(json.dumps(told.to_json(), indent=2))
        return
    _tell(told, chosen)
    if html is not None:
        typer.echo(f"Report: {html}")


def recall(
    truth: Annotated[list[Path], typer.Option(help="What `fink simulate --truth` wrote; can be repeated.")],
    nights: Annotated[str, typer.Option(help="Nights of the lake: YYYYMMDD, or A..B with both ends.")],
    filters: Annotated[
        list[str] | None, typer.Option("--filter", help="A filter, or a file; all by default; can be repeated.")
    ] = None,
    survey: Survey = "ztf",
    as_json: AsJson = False,
) -> None:
    """Say what filters find of objects that were injected: recall and purity, over objects and over alerts."""
    from fink_lib.filters import KINDS, FilterSet, load_filters
    from fink_lib.filters import recall as recalls
    from fink_lib.filters.backtest import parse_nights
    from fink_lib.lake import open_lake
    from fink_lib.surveys import get_survey

    settings = load_settings()
    with _pointing():
        if filters:
            chosen = FilterSet(tuple(_read(Path(name), survey) for name in dict.fromkeys(filters)))
        else:
            chosen = load_filters(get_survey(survey), KINDS, home=settings.home)
    injected = recalls.read_truth(truth)
    lake = open_lake(settings, survey)
    asked = parse_nights(nights, lake.nights("science"))
    taken = recalls.take_nights(lake, asked, chosen)
    scores = recalls.score(recalls.of_nights(injected, asked), taken, chosen)
    if as_json:
        typer.echo(json.dumps([one.to_json() for one in scores], indent=2))
        return
    _tell_recall(scores)


def promote(file: File, survey: Survey = "ztf") -> None:
    """Make a filter live, if it was backtested and its yield is within its budget; the stream needs no restart."""
    from fink_lib.filters import promotion
    from fink_lib.surveys import get_survey

    settings = load_settings()
    with _pointing():
        path = promotion.promote(settings.home, get_survey(survey), file)
    topic = f"{settings.streams.substream_prefix}_{path.stem}_{survey}"
    typer.echo(f"{path.stem} is live as {path}; from its next batch the stream sends to {topic}")


def withdraw(name: Annotated[str, typer.Argument(help="A promoted filter.")], survey: Survey = "ztf") -> None:
    """Take a promoted filter out of the stream; its topic stays."""
    from fink_lib.filters import promotion

    promotion.withdraw(load_settings().home, survey, name)
    typer.echo(f"{name} is withdrawn; from its next batch the stream sends it nothing")


@contextmanager
def _pointing() -> Iterator[None]:
    """Show the place at which a filter is refused, and end."""
    from fink_lib.filters import FilterError

    try:
        yield
    except FilterError as refusal:
        typer.echo(str(refusal), err=True)
        if refusal.text:
            typer.echo(refusal.excerpt, err=True)
        sys.exit(EXIT_FAILED)


def _read(file: Path, survey: str) -> Filter:
    """Read a file, or the filter of that name."""
    from fink_lib.filters import read_filter
    from fink_lib.filters.files import filter_files
    from fink_lib.surveys import get_survey

    if not file.exists() and file.suffix == "":
        files = {found.stem: found for found in filter_files(survey, load_settings().home)}
        file = files.get(str(file), file)
    return read_filter(file, get_survey(survey))


def _tell(told: Backtest, chosen: Filter) -> None:
    from fink_lib.cli.output import show_table

    budget = "" if chosen.budget is None else f"; its budget is {100 * chosen.budget:.3g} %"
    share = f"{100 * told.share:.3g} %"
    typer.echo(f"{told.name} version {told.version} takes {told.taken} of {told.alerts} alerts ({share}{budget})")
    typer.echo(f"cost: {told.evaluate_us_per_alert} µs per alert; {told.seconds} s in all\n")
    rows = [
        [one.night, one.alerts, one.taken, one.objects, round(100 * one.taken / max(one.alerts, 1), 3)]
        for one in told.nights
    ]
    show_table("Yield", ("night", "alerts", "taken", "objects", "%"), rows)
    of = "" if told.compared == told.taken else f" (of {told.compared} of them)"
    overlap = [[name, number] for name, number in sorted(told.overlap.items(), key=lambda p: -p[1]) if number]
    typer.echo("")
    show_table(f"Taken by other filters too{of}", ("filter", "alerts"), overlap or [["none", 0]])
    for column, counts in told.classes.items():
        typer.echo("")
        show_table(f"By {column}", (column, "alerts"), [list(pair) for pair in list(counts.items())[:12]])
    typer.echo("")
    rows = [[one.object_id, one.alert_id, one.night] for one in told.samples]
    show_table("Samples", ("object", "alert", "night"), rows)


def _tell_recall(scores: list[Score]) -> None:
    from fink_lib.cli.output import show_table

    def part(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.0f}"

    rows = [
        [
            one.name,
            ", ".join(one.targets) or "–",
            f"{one.found.objects}/{one.wanted.objects}" if one.targets else "–",
            f"{part(one.recall['objects'])} / {part(one.recall['alerts'])}",
            f"{part(one.purity['objects'])} / {part(one.purity['alerts'])}",
            one.taken.alerts + one.foreign,
            ", ".join(f"{number} {kind}" for kind, number in list(one.composition.items())[:4]),
        ]
        for one in scores
    ]
    header = ("filter", "meant for", "objects", "recall %", "purity %", "taken", "which are")
    show_table("Recall and purity (objects / alerts)", header, rows)
    foreign = sum(one.foreign for one in scores)
    if foreign:
        typer.echo(f"{foreign} times an alert was taken that the truth does not know; it counts as taken only")
