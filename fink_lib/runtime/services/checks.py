"""What can stand in a service's way before it starts: a taken port, a full disk."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
from pathlib import Path

from fink_lib.errors import ConfigError

LEAST_FREE_BYTES = 2 * 1024**3


def check_port(host: str, port: int, setting: str) -> None:
    """Make sure that a port is free.

    Parameters
    ----------
    host, port : str, int
        Where the service is going to listen.
    setting : str
        Name of the setting that holds the port, for the message.

    Raises
    ------
    ConfigError
        If somebody listens there; the message says who, if that can be known.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the services do: a connection of the last run that is still closing is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigError(f"cannot listen on {host}:{port} ({error.strerror}); correct {setting}") from error
            raise ConfigError(
                f"port {port} is taken by {_listener(port)}; stop it, or set another {setting} in fink.toml"
            ) from error


def check_disk(folder: Path, least_bytes: int = LEAST_FREE_BYTES) -> None:
    """Make sure that the disk below ``folder`` has room.

    Raises
    ------
    ConfigError
        If less than ``least_bytes`` are free.
    """
    free = shutil.disk_usage(folder).free
    if free < least_bytes:
        raise ConfigError(
            f"only {free / 1024**3:.1f} GB are free on the disk of {folder}; free {least_bytes / 1024**3:.0f} GB, "
            "or set FINK_HOME to a larger disk"
        )


def _listener(port: int) -> str:
    """Name the process that listens on a port, as far as this user may see it."""
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and not wanted.isdisjoint(_open_files(entry)):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            return f"process {entry.name} ({Path(words[0]).name})"
    return "another process"


def _open_files(process: Path) -> set[str]:
    targets = set()
    try:
        for descriptor in os.listdir(process / "fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                targets.add(os.readlink(process / "fd" / descriptor))
    except OSError:
        pass  # gone meanwhile, or somebody else's
    return targets


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes
