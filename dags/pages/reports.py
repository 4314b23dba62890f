"""The folder of reports, as files: ``<survey>/<night>/summary.html``, ``…/data_docs/index.html`` and the others."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from fink_lib.config import load_settings


def build_app() -> FastAPI:
    """Make the application that serves ``FINK_HOME/reports``, and nothing else."""
    app = FastAPI(title="Reports of nights", docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/", StaticFiles(directory=load_settings().home / "reports", html=True, check_dir=False))
    return app
