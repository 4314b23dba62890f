"""One endpoint: its address, its arguments, the function that answers, and its page in the OpenAPI document.

An endpoint is declared, not programmed: GET and POST, reading of arguments, errors and formats are the same for all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fink_lib.api.answer import TABLE_ARGUMENTS, Rows, header_list, table_response
from fink_lib.api.arguments import Argument, read_arguments
from fink_lib.api.formats import FORMATS
from fink_lib.api.http import Lanes, accepts_arrow, conditional, in_time, read_body
from fink_lib.api.problems import PROBLEM_JSON
from fink_lib.api.stores import Stores

Answer = Rows | Response | dict[str, Any] | list[Any]


@dataclass(frozen=True)
class Call:
    """One request as an endpoint's function sees it.

    Parameters
    ----------
    stores : Stores
        Where the data are.
    arguments : mapping
        A value for each declared argument, already checked.
    given : frozenset of str
        Names of the arguments that the client sent.
    """

    stores: Stores
    arguments: Mapping[str, Any]
    given: frozenset[str]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]


@dataclass(frozen=True)
class Endpoint:
    """A path of the API.

    Parameters
    ----------
    path : str
        Address, with ``{name}`` for arguments in it.
    summary : str
        One line: what it gives. Also the answer to a GET without arguments, where Fink's API gives one.
    answer : callable
        Takes a :class:`Call`; returns rows, an object for JSON, or a response. Runs in a thread and may block.
    arguments : sequence of Argument
        What it takes, without those that all tables take.
    example : object
        A part of a typical answer, for the OpenAPI page.
    compatible : bool
        True if Fink's API has this path: GET and POST alike, errors in Fink's form, GET without arguments describes.
    tabular : bool
        True if the answer is a table in the client's choice of format.
    tag : str
        Heading on the OpenAPI page.
    refusals : mapping of int to str
        Further statuses that the endpoint may answer with, and what they mean.
    methods : tuple of str
        GET and POST if empty and Fink's API has the path; else GET.
    described : bool
        Whether a GET without arguments is answered with the summary, where Fink's API has the path.
    media : tuple of str
        Content types that it may answer with besides JSON and those of tables.
    slow : callable, optional
        Tells from what the client sent, unchecked, whether the question reads much; few of those are worked on at once.
    """

    path: str
    summary: str
    answer: Callable[[Call], Answer]
    arguments: Sequence[Argument] = ()
    example: Any = None
    compatible: bool = False
    tabular: bool = False
    tag: str = "alerts"
    refusals: Mapping[int, str] = field(default_factory=dict)
    methods: tuple[str, ...] = ()
    described: bool = True
    media: tuple[str, ...] = ()
    slow: Callable[[Mapping[str, Any]], bool] | None = None

    @property
    def all_arguments(self) -> tuple[Argument, ...]:
        """Its own arguments and, for a table, those of all tables."""
        return (*self.arguments, *(TABLE_ARGUMENTS if self.tabular else ()))

    def add_to(self, router: APIRouter) -> None:
        """Register the endpoint's methods."""
        name = self.path.strip("/").replace("/", "_").replace("{", "").replace("}", "") or "root"
        for method in self.methods or (("GET", "POST") if self.compatible else ("GET",)):
            router.add_api_route(
                self.path,
                self._handler(method),
                methods=[method],
                operation_id=f"{method.lower()}_{name}",
                summary=self.summary,
                tags=[self.tag],
                response_class=Response,
                openapi_extra=self._openapi(method),
            )

    def _handler(self, method: str) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Response:
            request.state.always_problem = not self.compatible
            given = dict(_first_values(request))
            if method == "GET" and self.compatible and self.described and not given:
                return Response(self.summary + "\n", media_type="text/html")
            if method == "POST" and not given:
                given = await read_body(request)
            given.update(request.path_params)
            if self.tabular and "output-format" not in given and accepts_arrow(request):
                given["output-format"] = "arrow"
            response = await in_time(self._respond, request.app.state.stores, given, lane=self._lane(request, given))
            return conditional(request, response)

        return handle

    def _lane(self, request: Request, given: Mapping[str, Any]) -> anyio.CapacityLimiter | None:
        if not self.tabular or self.tag != "alerts":
            return None
        lanes: Lanes = request.app.state.lanes
        return lanes.long if self.slow is not None and self.slow(given) else lanes.short

    def _respond(self, stores: Stores, given: Mapping[str, Any]) -> Response:
        arguments, ignored = read_arguments(self.all_arguments, given)
        answer = self.answer(Call(stores, arguments, frozenset(given)))
        if isinstance(answer, Rows):
            response = table_response(answer, arguments)
            ignored += answer.ignored
        elif isinstance(answer, Response):
            response = answer
        else:
            response = Response(json.dumps(answer, allow_nan=False), media_type="application/json")
        if ignored:
            response.headers["Fink-Ignored-Args"] = header_list(ignored)
        return response

    # -- OpenAPI -------------------------------------------------------------------------------------------------

    def _openapi(self, method: str) -> dict[str, Any]:
        parameters = [_parameter(argument, method) for argument in self.all_arguments]
        page: dict[str, Any] = {"parameters": parameters, "responses": self._responses()}
        if method == "POST":
            schema = {
                "type": "object",
                "properties": {a.name: {**a.schema(), "description": a.doc} for a in self.all_arguments},
                "required": [a.name for a in self.all_arguments if a.required],
            }
            body: dict[str, Any] = {"schema": _loose(schema)}
            examples = {a.name: a.example for a in self.arguments if a.example is not None and a.required}
            if examples:
                body["example"] = examples
            page["requestBody"] = {
                "description": "The same arguments as JSON; read when the query holds none.",
                "content": {"application/json": body},
            }
        return page

    def _responses(self) -> dict[str, Any]:
        shape: dict[str, Any] = {"type": "array", "items": {"type": "object"}} if self.tabular else {}
        if any(argument.name == "schema" for argument in self.arguments):
            shape = {"anyOf": [shape, {"type": "object"}]}  # the columns of the table in its place
        if self.tabular:
            content: dict[str, Any] = {form.media_type: {"schema": {}} for form in FORMATS.values()}
        else:
            content = {}
        content["application/json"] = {"schema": shape}
        content |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in self.media}
        if self.example is not None:
            content["application/json"]["example"] = self.example
        if self.compatible:
            content["text/html"] = {"schema": {"type": "string"}}
        statuses = {400: "The request cannot be used", 503: "A service that the answer needs is away", **self.refusals}
        problem: dict[str, Any] = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        if self.compatible:
            problem |= {kind: {"schema": {"type": "string"}} for kind in ("text/html", "text/plain")}
        answers: dict[str, Any] = {"200": {"description": "The answer", "content": content}}
        for status, meaning in statuses.items():
            answers[str(status)] = {"description": meaning, "content": problem}
        if 503 in self.refusals:  # it has a meaning of its own, and says what is away in the form of the answer
            answers["503"]["content"] = {**problem, "application/json": {"schema": shape}}
        return answers


def _parameter(argument: Argument, method: str) -> dict[str, Any]:
    place = "path" if argument.in_path else "query"
    # a POST may carry its arguments in the body, and a GET without any is answered with a description
    required = argument.in_path
    entry: dict[str, Any] = {
        "name": argument.name,
        "in": place,
        "required": required,
        "description": argument.doc + (" Required." if argument.required and not argument.in_path else ""),
        "schema": argument.schema(),
    }
    if argument.example is not None and method == "GET":
        entry["example"] = argument.example
    return entry


def _loose(schema: dict[str, Any]) -> dict[str, Any]:
    for entry in schema["properties"].values():
        if entry.get("type") in ("integer", "number", "boolean"):
            entry["type"] = [entry["type"], "string"]  # clients send numbers as text
    return schema


def _first_values(request: Request) -> Mapping[str, str]:
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        values.setdefault(name, value)
    return values
