"""Pages for people: the landing page, the OpenAPI page, and the files they need. Nothing is loaded from outside."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response

router = APIRouter(include_in_schema=False)

_STATIC = Path(__file__).parent / "static"
# Swagger UI's files come with the package fastapi-offline
_SWAGGER = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_ONE_DAY = {"Cache-Control": "max-age=86400"}


@router.get("/")
def landing() -> Response:
    """Give the landing page."""
    return FileResponse(_STATIC / "index.html", media_type="text/html")


@router.get("/docs")
def docs() -> HTMLResponse:
    """Give the OpenAPI page."""
    return HTMLResponse((_STATIC / "docs.html").read_text())


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Give one of Swagger UI's files."""
    if name not in _SWAGGER:
        raise HTTPException(404, "Not Found")
    return Response(_swagger_file(name), media_type=_SWAGGER[name], headers=_ONE_DAY)


@cache
def _swagger_file(name: str) -> bytes:
    return (files("fastapi_offline") / "static" / name).read_bytes()
