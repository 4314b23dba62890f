"""``fink why``: the story of one alert."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import typer

from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED


def register(app: typer.Typer) -> None:
    """Add the command to the ``fink`` application."""
    app.command("why")(why)


def why(
    candid: Annotated[int, typer.Argument(help="Id of the alert.", min=0, max=2**63 - 1)],
    survey: Annotated[str, typer.Option(help="Whose alert.")] = "ztf",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Tell where an alert came from, which versions touched it, which filters took it, and where it was sent."""
    from fink_lib.lake import open_lake
    from fink_lib.provenance import load_definitions, trace

    settings = load_settings()
    lake = open_lake(settings, survey)
    told = trace(lake, candid, load_definitions(settings, lake.survey))
    if told is None:
        typer.echo(f"No message with id {candid} was ever received by survey {survey}.", err=True)
        raise typer.Exit(EXIT_FAILED)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    for line in tell(told):
        typer.echo(line)


def tell(told: Mapping[str, Any]) -> Iterator[str]:
    """Write the story of an alert for a person, line by line.

    Parameters
    ----------
    told : mapping
        What :func:`fink_lib.provenance.trace` gave.
    """
    name = f" of {told['object_id']}" if told["object_id"] else ""
    yield f"Alert {told['alert_id']}{name}, survey {told['survey']}, night {told['night']}: {told['outcome']}"
    if told["outcome"] == "quarantined":
        yield from _quarantine(told["quarantine"])
    else:
        yield from _received(told["received"], told["images"])
        if told["science"]:
            yield from _science(told["science"])
        for one in told["reclassified"]:
            yield f"{one['column']} was {one['before']} in the stream; {one['tracklet']} made it {one['after']}"
        for one in told["healed"]:
            yield f"Healed at {one['time']} by {', '.join(one['modules'])}{_entered(one['enters'])}"
        if told["science"] or any(one["sent"] for one in told["filters"]):
            yield from _filters(told["filters"])
    yield from _batches(told["batches"])


def _quarantine(messages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield "Quarantined"
    for row in messages:
        yield f"  {_place(row)} at {row['kafka_timestamp']}: {row['reason']} ({row['detail']})"
        yield f"    sha256 {row['sha256']}"


def _received(messages: Iterable[Mapping[str, Any]], images: bool) -> Iterator[str]:
    yield "Received"
    for message in messages:
        fate = message["fate"]
        if message.get("duplicate_of"):
            fate = f"duplicate of {_place(message['duplicate_of'])}"
        yield f"  {_place(message)} at {message['kafka_time']}: {fate}"
        yield f"    {message['wire_format']}, schema {message['schema_version']}, sha256 {message['sha256']}"
    yield f"  images: {'kept' if images else 'none'}"


def _science(science: Mapping[str, Any]) -> Iterator[str]:
    yield f"Science by broker {science['broker_version']}, science {science['science_version']}"
    for module in science["modules"]:
        outputs = ", ".join(f"{name} = {_short(value)}" for name, value in (module["outputs"] or {}).items())
        distance = module["separation_arcsec"]
        near = f" at {distance:.2f} arcsec" if distance is not None else ""
        yield f"  {module['name']} {module['version']}: {module['status']}{near}{'; ' + outputs if outputs else ''}"
    for name, version in science["resources"].items():
        yield f"  {name}: {version}"
    named = science["class"]
    rule = f" (rule: {named['rule']})" if named["rule"] else ""
    yield f"Class {named['finkclass']} by version {named['finkclass_version']}{rule}"


def _entered(names: Iterable[str]) -> str:
    return f"; enters {', '.join(names)}" if names else ""


def _filters(filters: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield "Filters"
    words = {True: "passes", False: "does not pass", None: "not tried"}
    for one in filters:
        version = f" {one['version']}" if one["version"] else " (no filter of this name now)"
        yield f"  {one['name']}{version}: {words[one['passes']]}"
        for clause in one["clauses"]:
            yield f"    {'yes' if clause['true'] else 'no '}  {clause['sql']}"
        for message in one["sent"]:
            by = f"version {message['filter_version']}{', late' if message['late'] else ''}"
            yield f"    sent to {_place(message)} at {message['sent_time']} by {by}"


def _batches(batches: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield "Batches"
    for row in batches:
        done = f"code {row['code_version']}, run {row['epoch']}, finished {row['finished']}"
        yield f"  {row['stage']} {row['batch']}: {done}"


def _place(row: Mapping[str, Any]) -> str:
    return f"{row['topic']}[{row['partition']}] offset {row['offset']}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
