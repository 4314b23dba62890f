"""Alerts in files: written so that a kill never leaves half of one, read back whatever their format is."""

from __future__ import annotations

import base64
import errno
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from fink_lib.avro.encode import avro_schema
from fink_lib.errors import ConfigError, TransientError

ENDINGS = {"avro": ".avro", "parquet": ".parquet", "json": ".jsonl"}
"""Format to the end of its files' names."""
ROWS_AT_ONCE = 500
ROOT = "topLevelRecord"


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file in one step; it is on the disk when this returns.

    Raises
    ------
    TransientError
        If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with _written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


def append_line(path: Path, obj: Mapping[str, Any]) -> None:
    """Append one JSON object as one line; it is on the disk when this returns.

    Raises
    ------
    TransientError
        If it cannot be written.
    """
    with _written(path), path.open("ab") as file:
        # a line that a full disk or a power cut has torn must not take this one with it
        file.write(("\n" if _torn(path) else "").encode() + json.dumps(obj).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def write_alert_file(path: Path, container: bytes) -> None:
    """Write one alert as an Avro file.

    Parameters
    ----------
    path : Path
        The file.
    container : bytes
        What :meth:`~fink_lib.client.decode.WriterSchema.container` gave.
    """
    write_bytes(path, container)


def write_table(path: Path, table: pa.Table, form: str) -> None:
    """Write alerts into one file.

    Parameters
    ----------
    path : Path
        The file.
    table : pyarrow.Table
        The alerts.
    form : str
        ``avro``, ``parquet`` or ``json`` (one object per line; bytes as base64, what is not a number as null).
    """
    sink = BytesIO()
    if form == "parquet":
        pq.write_table(table, sink, compression="zstd")
    elif form == "json":
        for batch in table.to_batches(ROWS_AT_ONCE):
            for row in batch.to_pylist(maps_as_pydicts="strict"):
                sink.write(json.dumps(plain(row), allow_nan=False, separators=(",", ":")).encode() + b"\n")
    else:
        schema = fastavro.parse_schema(avro_schema(table.schema, ROOT))
        fastavro.writer(sink, schema, table.to_pylist(maps_as_pydicts="strict"), codec="deflate")
    write_bytes(path, sink.getvalue())


def plain(value: Any) -> Any:
    """Give a value in a form that JSON has."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# -- reading -----------------------------------------------------------------------------------------------------------


def format_of(path: Path) -> str:
    """Tell the format of a file by its name.

    Raises
    ------
    ConfigError
        If it has none of the endings that are known.
    """
    endings = {**{end: form for form, end in ENDINGS.items()}, ".json": "json"}
    try:
        return endings[path.suffix]
    except KeyError:
        raise ConfigError(f"{path} does not say its format; its name has to end in {', '.join(endings)}") from None


def alert_files(path: Path) -> list[Path]:
    """Give a file, or all files of alerts below a folder in order of their names.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if path.is_file():
        return [path]
    endings = (*ENDINGS.values(), ".json")
    hidden = [file for file in sorted(path.rglob("*")) if file.is_file() and file.suffix in endings]
    found = [file for file in hidden if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not found:
        raise ConfigError(f"there are no alerts in {path}; name a file, or a folder of {', '.join(endings)}")
    return found


def read_alerts(path: Path) -> Iterator[dict[str, Any]]:
    """Read the alerts of one file, one by one.

    Raises
    ------
    ConfigError
        If the file is not what its name says.
    """
    form = format_of(path)
    try:
        if form == "parquet":
            for batch in pq.ParquetFile(path).iter_batches(ROWS_AT_ONCE):
                yield from batch.to_pylist(maps_as_pydicts="strict")
        elif form == "json":
            with path.open(encoding="utf-8") as lines:
                yield from (_with_images(json.loads(line)) for line in lines if line.strip())
        else:
            with path.open("rb") as file:
                yield from fastavro.reader(file)  # type: ignore[misc]
    except (OSError, ValueError, EOFError, LookupError, pa.ArrowException) as error:
        raise ConfigError(f"{path} cannot be read as {form} ({error}); is it complete?") from error


def read_tables(paths: Sequence[Path]) -> Iterator[pa.Table]:
    """Read files as Arrow tables of bounded size; JSON is refused, for it does not keep types.

    Raises
    ------
    ConfigError
        If a file cannot be read.
    """
    from fink_lib.client.decode import WriterSchema

    for path in paths:
        form = format_of(path)
        if form == "json":
            raise ConfigError(f"{path} is JSON, which does not keep the types; convert from Avro or Parquet instead")
        if form == "parquet":
            try:
                for batch in pq.ParquetFile(path).iter_batches(ROWS_AT_ONCE):
                    yield pa.Table.from_batches([batch])
            except (OSError, pa.ArrowException) as error:
                raise ConfigError(f"{path} cannot be read as parquet ({error}); is it complete?") from error
        else:
            schema = WriterSchema.of_file(path)
            rows = read_alerts(path)
            while part := [row for row, _ in zip(rows, range(ROWS_AT_ONCE), strict=False)]:
                yield schema.table(part)


def _with_images(alert: dict[str, Any]) -> dict[str, Any]:
    """Turn the images of an alert that was JSON into bytes again."""
    for name in [name for name in alert if name.startswith("cutout") and alert[name]]:
        stamp = alert[name]
        if isinstance(stamp, dict) and stamp.get("stampData"):
            stamp["stampData"] = base64.b64decode(stamp["stampData"])
        elif isinstance(stamp, str):
            alert[name] = base64.b64decode(stamp)
    return alert


def _torn(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Say what it means that a file cannot be written."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        step = "make room" if full else "permit it"
        raise TransientError(
            f"{path} cannot be written ({error.strerror}); {step}, and run it again: it goes on where it stopped"
        ) from error
