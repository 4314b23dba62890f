"""What HTTP asks of every endpoint alike: bodies of bounded size, answers in time, "not modified"."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fink_lib.api.formats import ARROW_STREAM
from fink_lib.api.problems import ApiError

MAX_BODY = 100 * 1024 * 1024
MOST_PARTS = 100
TIMEOUT_S = 60.0
"""Nobody waits longer for an answer; what computes it goes on to its own end, and holds its place until then."""

ALERTS_AT_ONCE = 3
"""Questions for alerts which are worked on at one time; others wait their turn.

They compute more than they wait, and Python computes one at a time: worked on all at once, each ends as late as the
last. What it does to the waiting of 50 people is measured by ``fink bench --stage api``.
"""

SLOW_AT_ONCE = 2
"""The same for questions that read much, which have places of their own."""

Result = TypeVar("Result")


@dataclass
class Lanes:
    """The places in which questions for tables of alerts are worked on: few, some of them for those that read much.

    So whoever asks for little does not wait for those who ask for much; and what is no such question, as the state of
    nights and services, does not wait for an archive that hangs.
    """

    short: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(ALERTS_AT_ONCE))
    long: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(SLOW_AT_ONCE))


async def in_time(work: Callable[..., Result], *arguments: Any, lane: anyio.CapacityLimiter | None = None) -> Result:
    """Run what may block in a thread, and wait for it no longer than :data:`TIMEOUT_S`.

    Parameters
    ----------
    work : callable
        What to run.
    *arguments : object
        What it takes.
    lane : anyio.CapacityLimiter, optional
        The places that it has to wait for; those of all without.

    Raises
    ------
    ApiError
        If it takes longer.
    """
    try:
        with anyio.fail_after(TIMEOUT_S):
            return await anyio.to_thread.run_sync(work, *arguments, abandon_on_cancel=True, limiter=lane)
    except TimeoutError:
        text = f"The answer takes longer than {TIMEOUT_S:g} s; ask for less at once.\n"
        raise ApiError("too-slow", text, status=503) from None


def conditional(request: Request, response: Response) -> Response:
    """Name the content of an answer in ``ETag``; whoever has it already gets status 304 and no body."""
    if response.status_code != 200 or not getattr(response, "body", b""):  # a file has a tag of its own
        return response
    # weak: the same content may be sent compressed or not
    tag = f'W/"{hashlib.blake2b(response.body, digest_size=16).hexdigest()}"'
    response.headers["ETag"] = tag
    response.headers.setdefault("Cache-Control", "no-cache")
    known = request.headers.get("if-none-match", "")
    if request.method == "GET" and (known.strip() == "*" or tag in (one.strip() for one in known.split(","))):
        kept = {
            name: value for name, value in response.headers.items() if name not in ("content-length", "content-type")
        }
        return Response(None, 304, kept)
    return response


def accepts_arrow(request: Request) -> bool:
    """Tell whether the ``Accept`` header names Arrow itself."""
    accepted = request.headers.get("accept", "").split(",")
    return ARROW_STREAM in (part.split(";")[0].strip().lower() for part in accepted)


async def read_body(request: Request) -> dict[str, Any]:
    """Read the arguments in a body: a JSON object, or a form with files.

    Raises
    ------
    ApiError
        If it is too large, or neither.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await _form(request, await _bounded(request, MAX_BODY))
    content = await read_json(request)
    if not isinstance(content, dict):
        raise ApiError("bad-body", "The body must be a JSON object of arguments.\n")
    return content


async def read_json(request: Request, most_bytes: int | None = None) -> Any:
    """Read the body of a request as JSON; an empty one is an empty object.

    Raises
    ------
    ApiError
        If it is too large, or no JSON.
    """
    body = await _bounded(request, MAX_BODY if most_bytes is None else most_bytes)
    if not body.strip():
        return {}
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError("bad-body", f"The body is not JSON ({type(error).__name__}).\n") from None


async def _bounded(request: Request, most_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise ApiError("too-large", f"The body is larger than {most_bytes} bytes.\n", status=413)
    return bytes(body)


async def _form(request: Request, body: bytes) -> dict[str, Any]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    again = Request(request.scope, receive)
    try:
        async with again.form(max_files=MOST_PARTS, max_fields=MOST_PARTS, max_part_size=MAX_BODY) as form:
            values: dict[str, Any] = {}
            for name, value in form.multi_items():
                content = await value.read() if isinstance(value, UploadFile) else value
                values.setdefault(name, content)
            return values
    except (HTTPException, ValueError) as error:
        raise ApiError("bad-body", f"The body is no form ({type(error).__name__}).\n") from None
