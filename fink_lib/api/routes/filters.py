"""``/api/v1/filters``: predicates that users write, try on past nights, and let into the stream."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fink_lib.api.arguments import Argument
from fink_lib.api.auth.guard import Caller
from fink_lib.api.endpoint import Call
from fink_lib.api.operation import Asked, Operation
from fink_lib.community import backtests
from fink_lib.community.drafts import VISIBILITIES, Draft, Drafts, read_name, read_predicate, read_said
from fink_lib.community.jobs import DONE, Job, JobQueue
from fink_lib.community.refusals import RefusedError, refuse_argument
from fink_lib.errors import ConfigError
from fink_lib.filters import Filter, FilterError, read_filter
from fink_lib.filters.backtest import parse_nights
from fink_lib.filters.files import filter_files, filter_folder
from fink_lib.filters.promotion import live_path, objections, promote, withdraw

_PREDICATE = {
    "type": "string",
    "description": "The condition in SQL over documented columns and terms (`fink filter terms`).",
    "example": "roid = 3 AND candidate.magpsf < 18",
}
_SAID = (
    Argument("description", "What it looks for, and for whom.", required=True, example="Bright known asteroids"),
    Argument("title", "A few words; the description if not given.", default=None),
    Argument("contact", "Whom to ask about it.", default=None),
    Argument("references", "Where it is described.", default=None),
    Argument("budget", "Largest share of a night's alerts that it may take, per cent; needed to go live.", default=None,
             example="2"),
)  # fmt: skip
_NAME = Argument("name", "Name of the filter.", required=True, in_path=True, example="bright_asteroids")
_VISIBILITY = "`public`, or `private`: only you see it until it is live."
_MISSING = {404: "There is no such filter"}
_TAKEN = {409: "The name is taken, or the gate says no"}
_EXAMPLE = {
    "name": "bright_asteroids",
    "state": "draft",
    "version": 2,
    "owner": "ann",
    "topic": "fink_bright_asteroids_ztf",
}


def listed(call: Call) -> list[dict[str, Any]]:
    """List filters: the broker's own, and those of users."""
    assert isinstance(call, Asked)
    drafts, survey = _drafts(call), call.stores.lake.survey
    told = {one.name: _outline(call, one) for one in drafts.latest() if _sees(call.caller, call, one)}
    for file in filter_files(survey.name, call.stores.settings.home):
        if file.stem in told:
            continue
        try:
            told[file.stem] = _of_file(call, read_filter(file, survey))
        except FilterError as refusal:
            told[file.stem] = {"name": file.stem, "survey": survey.name, "state": f"broken: {refusal.message}"}
    return [told[name] for name in sorted(told)]


def one(call: Call) -> dict[str, Any]:
    """Tell all about one filter."""
    assert isinstance(call, Asked)
    name = call["name"]
    versions = _drafts(call).versions(name)
    if versions and _sees(call.caller, call, versions[-1]):
        return _whole(call, versions)
    for file in filter_files(call.stores.lake.survey.name, call.stores.settings.home):
        if file.stem == name:
            chosen = read_filter(file, call.stores.lake.survey)
            return {**_of_file(call, chosen), "predicate": _without_header(chosen.text)}
    raise RefusedError("not-found", f"no filter is called {name[:80]}", "name")


def create(call: Call) -> dict[str, Any]:
    """Keep a new filter."""
    assert isinstance(call, Asked)
    survey = call.stores.lake.survey
    name = read_name(call["name"], survey.name)
    said = read_said({**call.arguments, **call.body}, survey)
    draft = _drafts(call).create(name, said, call["visibility"], call.who, _now())
    return _whole(call, _drafts(call).versions(draft.name))


def change(call: Call) -> dict[str, Any]:
    """Keep a new version."""
    assert isinstance(call, Asked)
    drafts = _drafts(call)
    call.who.insist(drafts.find(call["name"]).owner, f"the filter {call['name']}")
    said = read_said({**call.arguments, **call.body}, call.stores.lake.survey)
    drafts.change(call["name"], said, call["visibility"], call.who, _now())
    return _whole(call, drafts.versions(call["name"]))


def delete(call: Call) -> dict[str, Any]:
    """Take a filter away."""
    assert isinstance(call, Asked)
    _drafts(call).delete(call["name"], call.who, _now())
    return {"name": call["name"], "state": "deleted"}


def activate(call: Call) -> dict[str, Any]:
    """Let the latest version into the stream, if it passes the gate."""
    assert isinstance(call, Asked)
    drafts = _drafts(call)
    draft = drafts.find(call["name"])
    call.who.insist(draft.owner, f"the filter {draft.name}")
    try:
        promote(call.stores.settings.home, call.stores.lake.survey, drafts.file(draft))
    except ConfigError as refusal:
        raise RefusedError("conflict", str(refusal)) from refusal
    return _whole(call, drafts.versions(draft.name))


def leave(call: Call) -> dict[str, Any]:
    """Take a filter out of the stream."""
    assert isinstance(call, Asked)
    drafts = _drafts(call)
    draft = drafts.find(call["name"])
    call.who.insist(draft.owner, f"the filter {draft.name}")
    try:
        withdraw(call.stores.settings.home, draft.survey, draft.name)
    except ConfigError as refusal:
        raise RefusedError("conflict", str(refusal)) from refusal
    return _whole(call, drafts.versions(draft.name))


def ask_backtest(call: Call) -> dict[str, Any]:
    """Ask what a filter would have sent."""
    assert isinstance(call, Asked)
    lake = call.stores.lake
    predicate = call.body.get("predicate")
    if (predicate is None) == (not call["name"]):
        raise refuse_argument("predicate", "or `name` is needed, one of the two")
    if predicate is None:
        chosen = _named(call, call["name"])
    else:
        chosen = backtests.ad_hoc(read_predicate(predicate, lake.survey), lake.survey)
    nights = parse_nights(call["nights"], lake.nights("science"))
    if len(nights) > backtests.MOST_NIGHTS:
        raise refuse_argument("nights", f"must not be more than {backtests.MOST_NIGHTS} nights")
    asked = {"name": chosen.name, "text": chosen.text, "nights": call["nights"]}
    job = JobQueue(call.stores.community).submit(backtests.KIND, call.who.owner, asked, _now())
    call.stores.jobs.wake()
    return _job(job)


def told_backtest(call: Call) -> dict[str, Any]:
    """Say how far a backtest is, and what came out."""
    job = JobQueue(call.stores.community).find(call["id"])
    if job.kind != backtests.KIND:
        raise RefusedError("not-found", f"no backtest is called {job.id}", "id")
    return _job(job)


def _drafts(call: Call) -> Drafts:
    return Drafts(call.stores.community, call.stores.settings.home, call.stores.lake.survey)


def _sees(caller: Caller | None, call: Call, draft: Draft) -> bool:
    return (
        draft.visibility == "public"
        or (caller is not None and caller.may_change(draft.owner))
        or _live_version(call, draft) is not None
    )


def _live_version(call: Call, draft: Draft) -> str | None:
    path = live_path(call.stores.settings.home, draft.survey, draft.name)
    try:
        return read_filter(path, call.stores.lake.survey).version if path.exists() else None
    except FilterError:
        return None


def _outline(call: Call, draft: Draft) -> dict[str, Any]:
    live = _live_version(call, draft)
    return {
        "name": draft.name,
        "survey": draft.survey,
        "state": "draft" if live is None else "live",
        "version": draft.version,
        "live_version": live,
        "owner": draft.owner,
        "visibility": draft.visibility,
        "topic": f"{call.stores.settings.streams.substream_prefix}_{draft.name}_{draft.survey}",
        "title": draft.said.title,
        "description": draft.said.description,
        "budget": draft.said.budget_percent,
        "digest": draft.digest,
    }


def _of_file(call: Call, chosen: Filter) -> dict[str, Any]:
    own = (filter_folder(chosen.survey) / f"{chosen.name}.sql").exists()
    return {
        "name": chosen.name,
        "survey": chosen.survey,
        "state": "live" if "live" in chosen.kinds else "night",
        "version": chosen.version,
        "live_version": chosen.version,
        "owner": "broker" if own else "operator",
        "visibility": "public",
        "topic": chosen.topic(call.stores.settings.streams.substream_prefix),
        "title": chosen.header["title"],
        "description": chosen.header["description"],
        "budget": None if chosen.budget is None else 100 * chosen.budget,
        "digest": chosen.digest,
    }


def _whole(call: Call, versions: list[Draft]) -> dict[str, Any]:
    latest = versions[-1]
    chosen = read_filter(_drafts(call).file(latest), call.stores.lake.survey)
    return {
        **_outline(call, latest),
        "predicate": latest.said.predicate,
        "references": latest.said.references,
        "contact": latest.said.contact,
        "objections": objections(call.stores.settings.home, chosen),
        "versions": [
            {"version": one.version, "created": one.created, "digest": one.digest, "predicate": one.said.predicate}
            for one in versions
        ],
    }


def _named(call: Asked, name: str) -> Filter:
    versions = _drafts(call).versions(name)
    if versions and _sees(call.caller, call, versions[-1]):
        return read_filter(_drafts(call).file(versions[-1]), call.stores.lake.survey)
    files = {file.stem: file for file in filter_files(call.stores.lake.survey.name, call.stores.settings.home)}
    if name not in files:
        raise RefusedError("not-found", f"no filter is called {name[:80]}", "name")
    return read_filter(files[name], call.stores.lake.survey)


def _without_header(text: str) -> str:
    lines = text.splitlines()
    while lines and (lines[0].startswith("--") or not lines[0].strip()):
        lines.pop(0)
    return "\n".join(lines)


def _job(job: Job) -> dict[str, Any]:
    told = {
        "id": job.id,
        "state": job.state,
        "filter": job.asked["name"],
        "nights": job.asked["nights"],
        "message": job.message,
        "created": job.created,
        "changed": job.changed,
    }
    return {**told, "result": job.result} if job.state == DONE else told


def _now() -> datetime:
    return datetime.now(UTC)


ENDPOINTS = (
    Operation("/api/v1/filters", "Filters: the broker's own and those of users", listed, method="GET",
              tag="filters", example=[_EXAMPLE]),
    Operation(
        "/api/v1/filters", "Write a filter", create,
        (
            Argument("name", "Part of its topic: lower-case letters, digits and _.", required=True,
                     example="bright_asteroids"),
            *_SAID,
            Argument("visibility", _VISIBILITY, "choice", default="private", choices=VISIBILITIES),
        ),
        method="POST", scope="filter", nested={"predicate": _PREDICATE}, needed=("predicate",), success=201,
        tag="filters", example=_EXAMPLE, refusals=_TAKEN,
    ),
    Operation("/api/v1/filters/backtest", "Ask what a filter would have sent on past nights", ask_backtest,
        (
            Argument("nights", f"`A`, or `A..B` with both ends; up to {backtests.MOST_NIGHTS} nights.", required=True,
                     example="20251101..20251130"),
            Argument("name", "A filter that there is, in place of a predicate.", default=""),
        ),
        method="POST", scope="filter", nested={"predicate": _PREDICATE}, success=202, tag="filters",
        example={"id": "backtest_0123456789abcdef", "state": "queued"},
        refusals={**_MISSING, 409: "Too many of your backtests are not done"},
    ),
    Operation("/api/v1/filters/backtest/{id}", "How far a backtest is, and what came out", told_backtest,
        (Argument("id", "As the request was answered.", required=True, in_path=True,
                  example="backtest_0123456789abcdef"),),
        method="GET", tag="filters", example={"id": "backtest_0123456789abcdef", "state": "done"}, refusals=_MISSING,
    ),
    Operation("/api/v1/filters/{name}", "One filter with all its versions, and what keeps it out of the stream", one,
              (_NAME,), method="GET", tag="filters", example=_EXAMPLE, refusals=_MISSING),
    Operation(
        "/api/v1/filters/{name}", "Write a new version of a filter; what is live stays", change,
        (_NAME, *_SAID, Argument("visibility", _VISIBILITY, "choice", default=None, choices=VISIBILITIES)),
        method="PUT", scope="filter", nested={"predicate": _PREDICATE}, needed=("predicate",), tag="filters",
        example=_EXAMPLE, refusals=_MISSING,
    ),
    Operation("/api/v1/filters/{name}", "Delete a filter; what it sent stays", delete, (_NAME,), method="DELETE",
              scope="filter", tag="filters", example={"name": "bright_asteroids", "state": "deleted"},
              refusals=_MISSING),
    Operation("/api/v1/filters/{name}/activate", "Let the latest version into the stream, if it passes the gate",
              activate, (_NAME,), method="POST", scope="filter", tag="filters", example=_EXAMPLE,
              refusals={**_MISSING, **_TAKEN}),
    Operation("/api/v1/filters/{name}/withdraw", "Take a filter out of the stream", leave, (_NAME,), method="POST",
              scope="filter", tag="filters", example=_EXAMPLE, refusals={**_MISSING, 409: "It is not live"}),
)  # fmt: skip
