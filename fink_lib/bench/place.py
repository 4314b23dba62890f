"""A place to measure in: an installation of its own on free ports, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fink_lib.config import Settings, load_settings
from fink_lib.errors import ConfigError
from fink_lib.runtime import control

BYTES_PER_ALERT = 300_000
"""Kafka, raw, cutouts, science and their compacted copies, generously."""

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
}


@contextlib.contextmanager
def bench_home(parent: Path, services: Sequence[str], alerts: int, say: Callable[[str], None]) -> Iterator[Settings]:
    """Bring up an installation for one measurement.

    Parameters
    ----------
    parent : Path
        Folder on the disk to be measured.
    services : sequence of str
        What to start.
    alerts : int
        How many will pass, for the look at the free space.
    say : callable
        Takes a line of progress.

    Raises
    ------
    ConfigError
        If the disk is too small.
    """
    check_space(parent, alerts, BYTES_PER_ALERT)
    home = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    before = os.environ.get("FINK_HOME")
    os.environ["FINK_HOME"] = str(home)
    try:
        (home / "fink.toml").write_text(_ports())
        settings = load_settings(home)
        control.bring_up(settings, services, say)
        yield settings
    finally:
        control.bring_down(load_settings(home), (), lambda line: None)
        if before is None:
            del os.environ["FINK_HOME"]
        else:
            os.environ["FINK_HOME"] = before
        shutil.rmtree(home, ignore_errors=True)


def check_space(parent: Path, alerts: int, bytes_per_alert: int) -> None:
    """Make the folder to measure in, and see that the disk has room for what is to come.

    Raises
    ------
    ConfigError
        If it has not.
    """
    parent.mkdir(parents=True, exist_ok=True)
    need, free = alerts * bytes_per_alert + 2_000_000_000, shutil.disk_usage(parent).free
    if free < need:
        raise ConfigError(
            f"{alerts} alerts need about {need / 1e9:.0f} GB below {parent} and {free / 1e9:.0f} GB are free: "
            f"{(need - free) / 1e9:.0f} GB short; free some, or measure with fewer --alerts"
        )


def _ports() -> str:
    lines = []
    with contextlib.ExitStack() as held:  # all held at once, so that no two are the same
        for section, names in PORTS.items():
            lines.append(f"[{section}]")
            for name in names:
                one = held.enter_context(socket.socket())
                one.bind(("127.0.0.1", 0))
                lines.append(f"{name} = {one.getsockname()[1]}")
    return "\n".join([*lines, "[nightly]", "quiet_s = 1.0", ""])
