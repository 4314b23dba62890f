"""``fink filter``: the filters of a survey, and whether a new one may run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED

Survey = Annotated[str, typer.Option(help="Survey whose columns the filter reads.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the ``fink`` application."""
    group = typer.Typer(help="Community filters: one SQL predicate each.", no_args_is_help=True)
    group.command("list")(list_filters)
    group.command("check")(check)
    app.add_typer(group, name="filter")


def list_filters(survey: Survey = "ztf", as_json: AsJson = False) -> None:
    """Show every filter of a survey with its topic and version."""
    from fink_lib.filters import KINDS, load_filters
    from fink_lib.surveys import get_survey

    prefix = load_settings().streams.substream_prefix
    filters = load_filters(get_survey(survey), KINDS).filters
    if as_json:
        rows = [{"name": f.name, **f.header, "topic": f.topic(prefix), "digest": f.digest} for f in filters]
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max((len(f.topic(prefix)) for f in filters), default=0)
    for f in filters:
        typer.echo(f"{f.topic(prefix):{width}}  {f.version:>5}  {f.header['kinds']:5}  {f.header['title']}")


def check(
    file: Annotated[Path, typer.Argument(help="A file of header and predicate, as in sql/filters.")],
    survey: Survey = "ztf",
) -> None:
    """Say whether a filter may run; if not, point at the place."""
    from fink_lib.filters import FilterError, read_filter
    from fink_lib.surveys import get_survey

    try:
        checked = read_filter(file, get_survey(survey))
    except FilterError as refusal:
        typer.echo(str(refusal), err=True)
        if refusal.text:
            typer.echo(refusal.excerpt, err=True)
        sys.exit(EXIT_FAILED)
    reads = ", ".join(reference.name for reference in checked.predicate.references)
    typer.echo(f"{checked.name} version {checked.version} may run; it reads {reads}; digest {checked.digest[:16]}")
