"""The broker's own REST API and pages, served by uvicorn."""

from __future__ import annotations

import sys
from typing import ClassVar

from fink_lib.runtime.services.base import Service, http_get


class Api(Service):
    """One uvicorn process."""

    name: ClassVar[str] = "api"
    group: ClassVar[str] = "api"

    @property
    def host(self) -> str:
        """Where it listens."""
        return self.settings.api.host

    @property
    def url(self) -> str:
        """The first page."""
        return f"http://{self.host}:{self.settings.api.port}"

    def ports(self) -> dict[str, int]:
        """The web server's port."""
        return {"api.port": self.settings.api.port}

    def prepare(self) -> None:
        """Nothing: it keeps no files."""

    def command(self) -> list[str]:
        """The server's command line."""
        where = ["--host", self.host, "--port", str(self.settings.api.port)]
        return [sys.executable, "-m", "uvicorn", "fink_lib.api.app:create_app", "--factory", *where]

    def ready(self, started_s: float) -> bool:
        """Whether it answers; what stands behind it (HBase, the lake) is another question."""
        return http_get(self.host, self.settings.api.port, "/health/live") is not None
