"""Real services for tests: an installation of its own in a temporary folder, on free ports, always stopped."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from fink_lib.config import Settings, load_settings
from fink_lib.runtime import control
from fink_lib.runtime.services.base import marked_processes

PORTS = {
    "kafka": ("port", "controller_port"),
    "hbase": (
        "thrift_port",
        "thrift_info_port",
        "zookeeper_port",
        "master_port",
        "master_info_port",
        "regionserver_port",
        "regionserver_info_port",
    ),
    "airflow": ("port", "database_port"),
    "api": ("port",),
}
# Small heaps: tests hold little, and the machine also runs Spark. Tables of one region: to cut the archive's tables
# into theirs takes half a minute, for each test that makes them.
EXTRA = {"kafka": ['heap = "384m"'], "hbase": ['heap = "512m"', 'thrift_heap = "192m"', "pre_split = false"]}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different, below those that the kernel gives to outgoing connections."""
    found: set[int] = set()
    while len(found) < count:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.add(port)
    return sorted(found)


def write_home(home: Path, more: str = "") -> Settings:
    """Write ``fink.toml`` with free ports into a folder and read it.

    Parameters
    ----------
    home : Path
        The folder; made if missing.
    more : str
        Further sections of the file.
    """
    ports = iter(free_ports(sum(len(names) for names in PORTS.values())))
    lines = []
    for section, names in PORTS.items():
        lines += [f"[{section}]", *(f"{name} = {next(ports)}" for name in names), *EXTRA.get(section, [])]
    home.mkdir(parents=True, exist_ok=True)
    (home / "fink.toml").write_text("\n".join([*lines, more, ""]))
    return load_settings(home)


@contextlib.contextmanager
def installation(home: Path, more: str = "") -> Iterator[Settings]:
    """An installation whose services and streams are gone afterwards, whatever happened.

    Yields
    ------
    Settings
        Also found by child processes, through ``FINK_HOME``.

    Raises
    ------
    AssertionError
        If ending everything has left a process.
    """
    settings = write_home(home, more)
    before = os.environ.get("FINK_HOME")
    os.environ["FINK_HOME"] = str(home)
    try:
        yield settings
    finally:
        control.bring_down(settings)
        left = marked_processes(home)
        if before is None:
            del os.environ["FINK_HOME"]
        else:
            os.environ["FINK_HOME"] = before
        assert not left, f"processes left: {left}"
        if not os.environ.get("FINK_KEEP_TEST_HOME"):
            shutil.rmtree(home, ignore_errors=True)
