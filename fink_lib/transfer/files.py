"""A transfer straight to Parquet: one file for each file of the lake that has chosen rows.

A file gets its name when it is complete, so a run that goes on after a kill keeps what is there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from fink_lib.errors import ConfigError, TransientError
from fink_lib.runtime.failpoints import failpoint
from fink_lib.streams.stamps import StampReader

if TYPE_CHECKING:
    from fink_lib.transfer.run import Work
    from fink_lib.transfer.source import Piece

UNFINISHED = ".part"


def refuse_used(folder: Path) -> None:
    """Refuse a folder that holds anything: its files would be counted as rows of the transfer.

    Raises
    ------
    ConfigError
        If it is not empty, or no folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not an empty folder; give another one to --parquet")


def write(work: Work) -> int:
    """Write the files that are missing; gives the rows of all of them.

    Raises
    ------
    TransientError
        If the disk is full or the folder cannot be written.
    ConfigError
        If the files hold another number of rows than planned.
    """
    folder = Path(work.job.parquet)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"*{UNFINISHED}"):
            left.unlink()
        _write_files(work, folder)
        held: int = sum(pq.read_metadata(file).num_rows for file in sorted(folder.glob("*.parquet")))
    except OSError as error:
        raise TransientError(f"{folder} cannot be written ({error}); make room, then run the transfer again") from error
    if held != work.job.plan.rows:
        raise ConfigError(
            f"the files in {folder} hold {held} rows of {work.job.plan.rows}; submit the transfer to an empty folder"
        )
    return held


def _write_files(work: Work, folder: Path) -> None:
    nothing_there = (0,) * len(work.job.plan.expected)
    there = {file.name for file in folder.glob("*.parquet")}
    writer: pq.ParquetWriter | None = None
    name, done = "", 0
    stamps, night = StampReader(work.lake), ""
    try:
        for piece in work.pieces(nothing_there):
            if _name(piece) != name:
                _finish(work, writer, folder, name)
                writer, name = None, _name(piece)
                if name not in there:
                    writer = pq.ParquetWriter(folder / f"{name}{UNFINISHED}", work.content.schema, compression="zstd")
            if piece.night != night:
                stamps, night = StampReader(work.lake), piece.night
            if writer is not None:
                writer.write_table(work.table(piece, stamps))
            done += piece.rows.num_rows
            work.reached(done, night)
        _finish(work, writer, folder, name)
    finally:
        if writer is not None:
            writer.close()  # a second time does nothing


def _finish(work: Work, writer: pq.ParquetWriter | None, folder: Path, name: str) -> None:
    if writer is not None:
        writer.close()
        failpoint(work.settings, work.lake.survey.name, "transfer", "transfer_before_rename")
        os.replace(folder / f"{name}{UNFINISHED}", folder / name)


def _name(piece: Piece) -> str:
    return f"{piece.night}-{piece.file:05d}.parquet"
