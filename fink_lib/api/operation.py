"""An endpoint that changes something, or that shows more to some: one method, a token, a line in the log.

What an :class:`Endpoint` declares an operation declares too, and besides: its method, the scope that a token must have,
and parts of the body that are more than a word or a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from fink_lib.api.answer import Rows, header_list, table_response
from fink_lib.api.arguments import read_arguments
from fink_lib.api.auth.guard import Caller
from fink_lib.api.endpoint import Answer, Call, Endpoint
from fink_lib.api.http import conditional, in_time, read_body, read_json
from fink_lib.api.problems import PROBLEM_JSON, ApiError, ArgumentFault
from fink_lib.api.stores import Stores
from fink_lib.community.refusals import RefusedError
from fink_lib.errors import ConfigError

MAX_BODY = 1024 * 1024
SECURITY_SCHEMES = {
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Token fink_...` or `Bearer fink_...`; `fink token create` makes one.",
    }
}
STATUS_OF = {"bad-argument": 400, "not-owner": 403, "not-found": 404, "conflict": 409, "too-large": 413}
CODE_OF = {"not-owner": "forbidden"}
"""Where the word of a refusal is not the code of the answer."""
AUTH_REFUSALS = {
    401: "There is no valid token",
    403: "The token does not allow this",
    413: "The body is too large",
    429: "There were too many requests; `Retry-After` says when to come back",
}


@dataclass(frozen=True)
class Asked(Call):
    """One request as an operation's function sees it.

    Parameters
    ----------
    caller : Caller, optional
        Who asks; None if no token was shown and none is needed.
    body : object
        The JSON body, as far as it is not made of arguments: nothing in it is checked yet.
    """

    caller: Caller | None
    body: Any

    @property
    def who(self) -> Caller:
        """Who asks, where a token is needed."""
        assert self.caller is not None
        return self.caller


@dataclass(frozen=True)
class Operation(Endpoint):
    """One method of a path.

    Parameters
    ----------
    method : str
        ``GET``, ``POST``, ``PUT`` or ``DELETE``.
    scope : str
        What the token must be good for; empty where none is needed. A method that changes something needs one.
    nested : mapping of str to object
        JSON schema of the parts of the body that the function checks itself, by name.
    needed : tuple of str
        Those of them that must be there.
    body_schema : mapping, optional
        JSON schema of a body that is not made of arguments at all.
    most_bytes : int
        Largest body.
    success : int
        Status of an answer that is no response yet.
    media_type : str
        Of a response that the function makes itself.
    """

    method: str = "POST"
    scope: str = ""
    nested: Mapping[str, Any] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    body_schema: Mapping[str, Any] | None = None
    most_bytes: int = MAX_BODY
    success: int = 200
    media_type: str = "application/json"

    def __post_init__(self) -> None:
        if self.method != "GET" and not self.scope:
            raise ValueError(f"{self.method} {self.path} changes something and names no scope")

    def add_to(self, router: APIRouter) -> None:
        """Register the method."""
        router.add_api_route(
            self.path,
            self._handler(self.method),
            methods=[self.method],
            operation_id=self.name,
            summary=self.summary,
            tags=[self.tag],
            response_class=Response,
            status_code=self.success,
            openapi_extra=self._openapi(self.method),
        )

    @property
    def name(self) -> str:
        """Name of the operation, in the document and in the log."""
        words = self.path.removeprefix("/api/v1").strip("/").replace("/", "_").replace("{", "").replace("}", "")
        return f"{self.method.lower()}_{words}"

    def _handler(self, method: str) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Response:
            request.state.always_problem = not self.compatible
            stores: Stores = request.app.state.stores
            # before the body is looked at: who may not write sends nothing that is kept in memory
            caller = await run_in_threadpool(self._admit, stores, request)
            query = dict(reversed(request.query_params.multi_items()))
            if method == "GET" and self.compatible and not query:
                return Response(self.summary + "\n", media_type="text/html")
            body = {} if method == "GET" else await self._read(request)
            given, rest = self._sorted(body)
            given = {**given, **query, **request.path_params}
            response = await in_time(self._noted, stores, caller, given, rest, request.url.path)
            response.headers["Vary"] = "Authorization"
            response.headers["Cache-Control"] = (
                "no-store" if method != "GET" else "no-cache" if caller is None else "private"
            )
            return conditional(request, response) if method == "GET" else response

        return handle

    async def _read(self, request: Request) -> Any:
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            return await read_json(request, self.most_bytes)
        told = request.headers.get("content-length", "")
        if not told.isdigit() or int(told) > self.most_bytes:  # a form is read as a whole
            raise ApiError("too-large", f"A form must say its length, up to {self.most_bytes} bytes.\n", status=413)
        return await read_body(request)

    def _admit(self, stores: Stores, request: Request) -> Caller | None:
        shown = request.headers.get("authorization", "")
        address = request.client.host if request.client else "unknown"
        if self.method == "GET":
            return stores.guard.know(shown, address, self.name)
        return stores.guard.admit(shown, address, self.scope, self.name)

    def _sorted(self, body: Any) -> tuple[dict[str, Any], Any]:
        """Tell arguments from what the function checks itself."""
        if self.body_schema is not None:
            return {}, body
        if not isinstance(body, dict):
            raise ApiError("bad-body", "The body must be a JSON object of arguments.\n")
        rest = {name: value for name, value in body.items() if name in self.nested}
        for name in self.needed:
            if rest.get(name) is None:
                raise ApiError("missing-argument", f"A value for `{name}` is required.\n", (_required(name),))
        return {name: value for name, value in body.items() if name not in self.nested}, rest

    def _noted(self, stores: Stores, caller: Caller | None, given: Mapping[str, Any], body: Any, path: str) -> Response:
        if caller is None or self.method == "GET":
            return self._act(stores, caller, given, body)
        with stores.guard.noted(caller, self.name, path):
            return self._act(stores, caller, given, body)

    def _act(self, stores: Stores, caller: Caller | None, given: Mapping[str, Any], body: Any) -> Response:
        arguments, ignored = read_arguments(self.all_arguments, given)
        try:
            answer: Answer = self.answer(Asked(stores, arguments, frozenset(given), caller, body))
        except RefusedError as refusal:
            raise as_api_error(refusal) from refusal
        except ConfigError as refusal:
            raise ApiError("bad-argument", f"{refusal}.\n") from refusal
        if isinstance(answer, Rows):
            response = table_response(answer, arguments)
            ignored += answer.ignored
        elif isinstance(answer, Response):
            response = answer
        else:
            text = json.dumps(answer, allow_nan=False)
            response = Response(text, self.success, media_type="application/json")
        if ignored:
            response.headers["Fink-Ignored-Args"] = header_list(ignored)
        return response

    # -- OpenAPI -------------------------------------------------------------------------------------------------

    def _openapi(self, method: str) -> dict[str, Any]:
        whole = super()._openapi("POST")
        page: dict[str, Any] = {"responses": self._all_responses(whole["responses"])}
        in_query = method == "GET"
        page["parameters"] = [parameter for parameter in whole["parameters"] if in_query or parameter["in"] == "path"]
        if self.scope:
            # what everybody may read needs none
            page["security"] = [{"token": []}] if method != "GET" else [{}, {"token": []}]
            page["description"] = f"{self.summary}.\n\n" + (
                f"Needs a token with the scope `{self.scope}`." if method != "GET" else "Shows more with a token."
            )
        if method in ("POST", "PUT"):
            page["requestBody"] = {"required": True, "content": {"application/json": self._body(whole)}}
        return page

    def _all_responses(self, told: Mapping[str, Any]) -> dict[str, Any]:
        answers = dict(told)
        if self.media_type != "application/json":
            answers["200"] = {**answers["200"], "content": {self.media_type: {"schema": {"type": "string"}}}}
        if self.success != 200:
            answers[str(self.success)] = answers.pop("200")
        if self.scope:
            problem = answers["400"]["content"]
            for status, meaning in AUTH_REFUSALS.items():
                answers.setdefault(str(status), {"description": meaning, "content": problem})
        return answers

    def _body(self, whole: Mapping[str, Any]) -> dict[str, Any]:
        if self.body_schema is not None:
            body: dict[str, Any] = {"schema": dict(self.body_schema)}
        else:
            body = dict(whole["requestBody"]["content"]["application/json"])
            in_path = {argument.name for argument in self.arguments if argument.in_path}
            schema = dict(body["schema"])
            schema["properties"] = {
                **{name: kind for name, kind in schema["properties"].items() if name not in in_path},
                **self.nested,
            }
            schema["required"] = [name for name in (*schema["required"], *self.needed) if name not in in_path]
            body = {"schema": {name: value for name, value in schema.items() if value != []}}
        examples = {a.name: a.example for a in self.arguments if a.example is not None and not a.in_path}
        nested = {name: schema["example"] for name, schema in self.nested.items() if "example" in schema}
        if examples or nested:
            body["example"] = {**examples, **nested}
        return body


def as_api_error(refusal: RefusedError) -> ApiError:
    """Say a refusal in the form of the API."""
    faults = (ArgumentFault(refusal.argument, str(refusal)),) if refusal.argument else ()
    code = CODE_OF.get(refusal.kind, refusal.kind)
    return ApiError(code, f"{refusal}.\n", faults, STATUS_OF[refusal.kind])


def _required(name: str) -> ArgumentFault:
    return ArgumentFault(name, "required")


__all__ = ["PROBLEM_JSON", "SECURITY_SCHEMES", "Asked", "Operation"]
