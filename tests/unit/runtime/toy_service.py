"""A service that costs nothing: a small web server, supervised like the real ones."""

from __future__ import annotations

import sys
from typing import ClassVar

from fink_lib.config import Settings
from fink_lib.runtime.services.base import Service, http_get

_SERVER = """
import http.server, os, subprocess, sys
if sys.argv[2:]:
    subprocess.Popen(["sleep", "600"])  # a worker in the same session
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""


class Toy(Service):
    """Answers on ``settings.api.port``."""

    name: ClassVar[str] = "toy"
    group: ClassVar[str] = "toy"
    stop_grace_s: ClassVar[float] = 2.0

    def __init__(self, settings: Settings, program: str = _SERVER, worker: bool = False) -> None:
        super().__init__(settings)
        self.program = program
        self.worker = worker
        self.deaf = False

    def ports(self) -> dict[str, int]:
        return {"api.port": self.settings.api.port}

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        port = str(self.settings.api.port)
        return [sys.executable, "-S", "-c", self.program, port, *(["worker"] if self.worker else [])]

    def ready(self, started_s: float) -> bool:
        return not self.deaf and http_get(self.host, self.settings.api.port, "/") is not None
