"""The commands of ``fink client`` that ask the REST API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fink_lib.cli.output import show_table
from fink_lib.errors import EXIT_NOTHING, ConfigError

if TYPE_CHECKING:
    from fink_lib.client.rest import Api

ALERT_COLUMNS = {
    "ztf": "i:objectId,i:candid,i:jd,i:fid,i:magpsf,i:sigmapsf,i:ra,i:dec,d:cdsxmatch,v:classification",
    "lsst": "r:diaObjectId,r:diaSourceId,r:midpointMjdTai,r:band,r:psfFlux,r:psfFluxErr,r:ra,r:dec,f:xm_simbad_otype",
}
"""What a table shows if nothing else is asked for."""
NIGHT_COLUMNS = ("raw", "quarantine", "science", "rejected", "duplicates", "sent")
SUFFIX = {"PNG": ".png", "FITS": ".fits", "array": ".json"}

Survey = Annotated[str, typer.Option(help="Whose alerts: ztf or lsst.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, all columns.")]
Columns = Annotated[str | None, typer.Option(help="Columns, separated by commas: family:name.")]
Number = Annotated[int | None, typer.Option("-n", min=1, help="At most so many rows.")]
From = Annotated[str | None, typer.Option("--from", help="Begin: ISO, JD or MJD.")]
To = Annotated[str | None, typer.Option("--to", help="End.")]


def add_commands(group: typer.Typer) -> None:
    """Add the commands to the group ``client``."""
    group.command("search")(search)
    group.command("object")(object_)
    # a declination may begin with a minus
    group.command("cone", context_settings={"ignore_unknown_options": True})(cone)
    group.command("cutout")(cutout)
    group.command("why")(why)
    group.command("night")(night)


def search(
    text: Annotated[str, typer.Argument(help="A class, such as 'SN candidate'; with --resolver, a name.")],
    resolver: Annotated[str | None, typer.Option(help="Look up a name: simbad, tns or ssodnet.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="The name is one of the survey's.")] = False,
    start: From = None,
    stop: To = None,
    trend: Annotated[str | None, typer.Option(help="rising or fading.")] = None,
    number: Number = None,
    columns: Columns = None,
    survey: Survey = "ztf",
    as_json: AsJson = False,
) -> None:
    """Find the newest alerts of a class, or what a name means."""
    with _api(survey) as api:
        if resolver is not None:
            name = "name_or_id" if survey == "lsst" else "name"
            told = api.post("resolver", resolver=resolver, **{name: text}, reverse=reverse or None, nmax=number)
        else:
            kind = "tag" if survey == "lsst" else "class"
            told = api.post(
                "tags" if survey == "lsst" else "latests",
                **{kind: text},
                n=number,
                startdate=start,
                stopdate=stop,
                trend=trend,
                columns=_columns(columns, survey, as_json),
            )
    _show_rows(told, as_json)


def object_(
    name: Annotated[str, typer.Argument(metavar="OBJECT", help="objectId or diaObjectId; several with commas.")],
    number: Number = None,
    columns: Columns = None,
    survey: Survey = "ztf",
    as_json: AsJson = False,
) -> None:
    """Show all alerts of an object, newest first."""
    path, argument = ("sources", "diaObjectId") if survey == "lsst" else ("objects", "objectId")
    with _api(survey) as api:
        told = api.post(path, **{argument: name}, limit=number, columns=_columns(columns, survey, as_json))
    _show_rows(told, as_json)


def cone(
    ra: Annotated[str, typer.Argument(help="Right ascension: degrees or 10h20m30s.")],
    dec: Annotated[str, typer.Argument(help="Declination: degrees or -3d04m05s.")],
    radius: Annotated[str, typer.Argument(help="Radius, arcsec.")] = "10",
    start: From = None,
    stop: To = None,
    number: Number = None,
    columns: Columns = None,
    survey: Survey = "ztf",
    as_json: AsJson = False,
) -> None:
    """Show the objects around a place on the sky."""
    wanted = _columns(columns, survey, as_json)
    if wanted is not None and columns is None:
        wanted += ",v:separation_degree"
    with _api(survey) as api:
        told = api.post(
            "conesearch", ra=ra, dec=dec, radius=radius, n=number, startdate=start, stopdate=stop, columns=wanted
        )
    _show_rows(told, as_json)


def cutout(
    name: Annotated[str, typer.Argument(metavar="OBJECT", help="objectId, or diaSourceId for lsst.")],
    kind: Annotated[str, typer.Option(help="Science, Template, Difference or All.")] = "Science",
    form: Annotated[str, typer.Option("--format", help="PNG, FITS or array.")] = "PNG",
    candid: Annotated[int | None, typer.Option(help="Which alert of the object; the latest if not given.")] = None,
    out: Annotated[Path | None, typer.Option(help="The file; <object>_<kind> if not given.")] = None,
    survey: Survey = "ztf",
) -> None:
    """Fetch an image of an alert."""
    from fink_lib.client.files import write_bytes

    if form not in SUFFIX:
        raise typer.BadParameter(f"{form!r} is none of {', '.join(SUFFIX)}", param_hint="--format")
    argument = "diaSourceId" if survey == "lsst" else "objectId"
    with _api(survey) as api:
        content = api.fetch("cutouts", **{argument: name}, kind=kind, output_format=form, candid=candid)
    if not content:
        raise ConfigError(f"there is no image of {name}; is it the id of an alert that has one?")
    target = out or Path(f"{name}_{kind}{SUFFIX[form]}".replace("/", "_"))
    write_bytes(target, content)
    typer.echo(str(target))


def why(
    candid: Annotated[int, typer.Argument(help="Id of the alert.", min=0, max=2**63 - 1)],
    survey: Survey = "ztf",
    as_json: AsJson = False,
) -> None:
    """Tell where an alert came from, what was made of it, and where it was sent."""
    from fink_lib.cli.why import tell

    with _api(survey) as api:
        told = api.get(f"why/{candid}")
    for line in [json.dumps(told, indent=2)] if as_json else tell(told):
        typer.echo(line)


def night(
    date: Annotated[str | None, typer.Argument(metavar="NIGHT", help="YYYYMMDD; the list if not given.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="First night of the list.")] = None,
    stop: Annotated[str | None, typer.Option("--to", help="Last night of the list.")] = None,
    survey: Survey = "ztf",
    as_json: AsJson = False,
) -> None:
    """List the nights, or show what one night held."""
    with _api(survey) as api:
        told = api.get(f"nights/{date}/summary") if date else api.get("nights", **{"from": start, "to": stop})
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    elif date is None:
        rows = [[one["night"], one["state"], *(one["counts"].get(name) for name in NIGHT_COLUMNS)] for one in told]
        show_table("", ("night", "state", *NIGHT_COLUMNS), rows)
    else:
        typer.echo(f"Night {date} of {survey}: {told['state']}")
        for table in ("basic", "class", "filters"):
            counts = (told.get("summary") or {}).get(table)
            if counts:
                show_table(f"\n{table}", ("name", "count"), list(counts.items()))


@contextmanager
def _api(survey: str) -> Iterator[Api]:
    from fink_lib.client.credentials import load_credentials
    from fink_lib.client.rest import Api

    known = load_credentials(survey)
    if not known.api:
        raise ConfigError(f"no address of an API is registered; run `fink client register --survey {survey} --api URL`")
    with Api(known.api) as api:
        yield api


def _columns(given: str | None, survey: str, as_json: bool) -> str | None:
    return given or (None if as_json else ALERT_COLUMNS.get(survey))


def _show_rows(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        typer.echo("nothing was found", err=True)
        raise typer.Exit(EXIT_NOTHING)
    names = list(dict.fromkeys(name for row in rows for name in row))
    show_table("", names, [[_short(row.get(name)) for name in names] for row in rows])


def _short(value: Any) -> Any:
    return json.dumps(value)[:60] if isinstance(value, dict | list) else value
