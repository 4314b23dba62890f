"""Making the archive's tables, each cut into regions along the range that its keys have.

A table of one region is written by one region server until it has grown large enough to be cut. The Thrift server
cannot make a table with regions, HBase's own client can: a small program in its language is run once, when tables are
missing. Where it cannot reach ZooKeeper, tables are made with one region and said to be.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fink_lib.archive.hbase import HBase
from fink_lib.errors import ConfigError
from fink_lib.runtime.artifacts import class_path
from fink_lib.runtime.java import find_java

if TYPE_CHECKING:
    from fink_lib.config import HBaseSettings

log = logging.getLogger(__name__)

PROGRAM = Path(__file__).parent / "CreateTables.java"
TIMEOUT_S = 120.0
AT_ONCE = 6


@dataclass(frozen=True)
class Shape:
    """Families of a table, and the first keys of its regions but the first."""

    families: tuple[str, ...]
    splits: tuple[str, ...] = ()


def make_tables(hbase: HBase, settings: HBaseSettings, shapes: Mapping[str, Shape]) -> list[str]:
    """Make the tables that are not there.

    Parameters
    ----------
    hbase : HBase
        The connection.
    settings : HBaseSettings
        Where HBase is.
    shapes : mapping of str to Shape
        By name, without the installation's prefix.

    Returns
    -------
    list of str
        Names of those that were made.

    Raises
    ------
    TransientError
        If HBase stays away.
    """
    there = set(hbase.tables())
    missing = {name: shape for name, shape in shapes.items() if name not in there}
    cut = {name: shape for name, shape in missing.items() if shape.splits}
    if cut and settings.pre_split:
        _make_with_regions(settings, missing)
        missing = {name: shape for name, shape in missing.items() if name not in set(hbase.tables())}
    if missing:
        with ThreadPoolExecutor(min(AT_ONCE, len(missing))) as threads:
            list(threads.map(lambda item: _make(settings, *item), missing.items()))
    return [name for name in shapes if name not in there]


def _make(settings: HBaseSettings, name: str, shape: Shape) -> None:
    with HBase(settings) as hbase:
        hbase.ensure_table(name, shape.families)


def _make_with_regions(settings: HBaseSettings, shapes: Mapping[str, Shape]) -> None:
    lines = [
        f"{settings.table_prefix}{name}\t{','.join(shape.families)}\t{','.join(shape.splits)}\n"
        for name, shape in shapes.items()
    ]
    try:
        command = _command(settings)
        subprocess.run(command, input="".join(lines), check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (ConfigError, OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        log.warning(
            "tables %s are made with one region each, because HBase's client failed (%s); "
            "set hbase.zookeeper_quorum, or cut them by hand",
            ", ".join(shapes),
            said[-1] if said else error,
        )


def _command(settings: HBaseSettings) -> Sequence[str]:
    quorum = settings.zookeeper_quorum or settings.thrift_host
    return [
        str(find_java()),
        "-Xmx128m",
        "-XX:+IgnoreUnrecognizedVMOptions",
        "-XX:UseAVX=2",
        "-XX:TieredStopAtLevel=1",
        "-Djava.net.preferIPv4Stack=true",
        "-cp",
        class_path("hbase"),
        str(PROGRAM),
        quorum,
        str(settings.zookeeper_port),
    ]
