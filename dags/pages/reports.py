"""The folder of reports, as files: ``<survey>/<night>/summary.html``, ``…/data_docs/index.html`` and the others."""

from __future__ import annotations

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from fink_lib.config import load_settings


def build_app() -> FastAPI:
    """Make the application that shows ``FINK_HOME/reports``, and nothing else, to whoever has logged in to Airflow."""
    app = FastAPI(title="Reports of nights", docs_url=None, redoc_url=None, openapi_url=None)
    files = StaticFiles(directory=load_settings().home / "reports", html=True, check_dir=False)

    @app.get("/{path:path}")
    async def report(path: str, request: Request, user: GetUserDep) -> Response:
        return await files.get_response(path or ".", request.scope)

    return app
