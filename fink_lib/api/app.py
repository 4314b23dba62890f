"""The application: middle layers, error bodies, the OpenAPI document, and every endpoint found in ``routes``.

Started by ``python -m uvicorn fink_lib.api.app:create_app --factory``; the installation is ``FINK_HOME``.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response

import fink_lib
from fink_lib.api import routes
from fink_lib.api.endpoint import Endpoint
from fink_lib.api.http import Lanes
from fink_lib.api.metrics import CountRequests
from fink_lib.api.operation import SECURITY_SCHEMES
from fink_lib.api.pages import router as pages
from fink_lib.api.problems import ApiError, error_response, service_away
from fink_lib.api.stores import Stores
from fink_lib.config import Settings, load_settings
from fink_lib.errors import TransientError

logger = logging.getLogger(__name__)

HEADERS = (
    "Fink-Error-Code",
    "Fink-Ignored-Args",
    "Fink-Unknown-Columns",
    "Fink-Truncated",
    "Fink-Sources",
    "Fink-Continue",
    "ETag",
    "Retry-After",
    "WWW-Authenticate",
)
DESCRIPTION = """
Alerts of the broker, object by object and night by night. Reading needs no account.

Columns are named `family:name`: `i:` as the survey sent it, `d:` added by the broker, `v:` computed on reading.
Every table comes as `json`, `csv`, `votable` or `parquet`, so one line gives a data frame:
`pandas.read_csv("<address>/api/v1/statistics?date=202511&output-format=csv")`.
"""
PROBLEM_SCHEMA = {
    "title": "Problem",
    "description": "Problem details (RFC 9457), with the text that Fink's API gives.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "text", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "text": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"arg": {"type": "string"}, "reason": {"type": "string"}},
                "required": ["arg", "reason"],
            },
        },
    },
}
STATUS_CODES = {404: "not-found", 405: "no-method", 413: "too-large"}


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    settings : Settings, optional
        The installation; that of ``FINK_HOME`` if not given.
    """
    stores = Stores(settings or load_settings())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.lanes = Lanes()
        warm_up = threading.Thread(target=stores.warm_up, name="warm-up")
        warm_up.start()
        yield
        warm_up.join()  # a thread that is cut off inside a library's C++ takes the process down with it
        stores.close()

    app = FastAPI(
        title="Fink alert broker",
        version=fink_lib.__version__,
        description=DESCRIPTION,
        openapi_url="/swagger.json",
        docs_url=None,  # FastAPI's own page loads its scripts from outside
        redirect_slashes=False,  # a path means one thing; with a slash more it means nothing
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.stores = stores
    # the lightest compression: the next levels take milliseconds from everybody for a few per cent less
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=1)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["*"],
        allow_headers=["Content-Type", "Authorization"],
        expose_headers=list(HEADERS),
    )
    app.add_middleware(CountRequests, metrics=stores.metrics)
    app.add_exception_handler(ApiError, _refuse)
    app.add_exception_handler(TransientError, _service_away)
    app.add_exception_handler(HTTPException, _refuse_path)
    app.add_exception_handler(Exception, _own_fault)
    router = APIRouter()
    for endpoint in find_endpoints():
        endpoint.add_to(router)
    app.include_router(router)
    app.include_router(pages)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def find_endpoints() -> Iterator[Endpoint]:
    """Give the endpoints of every file in ``routes``, in order of their names."""
    for module in sorted(pkgutil.iter_modules(routes.__path__), key=lambda found: found.name):
        yield from importlib.import_module(f"{routes.__name__}.{module.name}").ENDPOINTS


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    always = getattr(request.state, "always_problem", False)
    return error_response(error, request.headers.get("accept", ""), always)


def _service_away(request: Request, error: Exception) -> Response:
    return _refuse(request, service_away("A part of the broker", str(error)))


def _refuse_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = STATUS_CODES.get(error.status_code, "bad-argument")
    problem = ApiError(code, f"{error.detail}: {request.method} {request.url.path[:200]}\n", status=error.status_code)
    response = _refuse(request, problem)
    response.headers.update(error.headers or {})
    return response


def _own_fault(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _refuse(request, ApiError("internal", "The broker made an error; it is in its log.\n", status=500))


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=None
        )
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
        document["components"]["securitySchemes"] = SECURITY_SCHEMES
        app.openapi_schema = document
    return app.openapi_schema
