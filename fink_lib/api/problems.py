"""What the API answers when it cannot answer: one error class, two forms of its body.

Scripts that were written for Fink's API look for the text of a Python dictionary in an answer of status 400; that is
the form by default. A client that names JSON in its ``Accept`` header gets the problem details of RFC 9457 instead,
with the same text. Both carry the header ``Fink-Error-Code``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.responses import Response

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 10
HELP_URL = "https://api.ztf.fink-portal.org"

TITLES = {
    "missing-argument": "An argument is missing",
    "bad-argument": "An argument has a value that cannot be used",
    "bad-body": "The body of the request cannot be read",
    "bad-format": "The output format is not known",
    "bad-night": "The night cannot be read",
    "unknown-columns": "None of the columns is known",
    "not-found": "Nothing is known under this name",
    "no-method": "The method is not allowed here",
    "too-large": "The body of the request is too large",
    "unauthorized": "A token is needed",
    "forbidden": "The token does not allow this",
    "conflict": "This does not go with what is there already",
    "too-many": "There were too many requests",
    "no-image": "There is no image of this alert",
    "too-slow": "The answer takes too long",
    "service-off": "This installation does not ask a service that this answer needs",
    "service-away": "A service that this answer needs is away",
    "internal": "The broker made an error",
}
"""Each value of ``Fink-Error-Code`` and what it says to a person."""


@dataclass(frozen=True)
class ArgumentFault:
    """One argument that was refused, and why."""

    argument: str
    reason: str


@dataclass
class ApiError(Exception):
    """A request that gets no answer.

    Parameters
    ----------
    code : str
        One of :data:`TITLES`.
    text : str
        One sentence for a person; clients of Fink's API expect it to end in a newline.
    faults : sequence of ArgumentFault
        The arguments that are to blame.
    status : int
        HTTP status: 400 unless a service is away (503), a name is unknown (404) or the body is too large (413).
    headers : mapping of str to str
        What the answer carries besides.
    shown : Exception, optional
        What stands in Fink's form of the body in place of the text.
    plain : bool
        True where Fink's form of the body is nothing but the text.
    """

    code: str
    text: str
    faults: Sequence[ArgumentFault] = field(default=())
    status: int = 400
    headers: Mapping[str, str] = field(default_factory=dict)
    shown: Exception | None = None
    plain: bool = False

    def __str__(self) -> str:
        return self.text.strip()


def missing_argument(name: str) -> ApiError:
    """Make the error of a request that lacks a required argument."""
    text = f"A value for `{name}` is required. See {HELP_URL} \n"
    return ApiError("missing-argument", text, (ArgumentFault(name, "required"),))


def bad_argument(name: str, reason: str) -> ApiError:
    """Make the error of an argument whose value cannot be used; `reason` completes "`name` ..."."""
    return ApiError("bad-argument", f"`{name}` {reason}.\n", (ArgumentFault(name, reason),))


def service_away(service: str, cause: str) -> ApiError:
    """Make the error of an answer that needs a service that does not respond."""
    text = f"{service} does not answer ({cause}); try again in {RETRY_AFTER_S} seconds.\n"
    return ApiError("service-away", text, status=503)


def wants_problem(accept: str) -> bool:
    """Tell whether an ``Accept`` header names one of the JSON types itself (a wildcard does not)."""
    named = {part.split(";")[0].strip().lower() for part in accept.split(",")}
    return bool(named & {PROBLEM_JSON, "application/json"})


def error_response(error: ApiError, accept: str, always_problem: bool = False) -> Response:
    """Render an error.

    Parameters
    ----------
    error : ApiError
        What happened.
    accept : str
        The request's ``Accept`` header.
    always_problem : bool
        True for the paths that Fink's API does not have: they know only problem details.
    """
    headers = {"Fink-Error-Code": error.code, **error.headers}
    if error.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if always_problem or wants_problem(accept):
        body = {
            "type": f"urn:fink:error:{error.code}",
            "title": TITLES[error.code],
            "status": error.status,
            "detail": error.text.strip(),
            "text": error.text,
            "errors": [{"arg": fault.argument, "reason": fault.reason} for fault in error.faults],
        }
        return Response(json.dumps(body), error.status, headers, media_type=PROBLEM_JSON)
    # The text may quote what the client sent, and it is served as HTML: nothing in it may run
    headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    # Fink's clients match on the text that Python gives for this dictionary, quotes and all
    if error.plain:
        return Response(error.text, error.status, headers, media_type="text/plain")
    text = str({"status": "error", "text": error.shown or error.text})
    return Response(text, error.status, headers, media_type="text/html")
