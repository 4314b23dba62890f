"""ZTF alerts for tests: real ones where they are at hand, and small ones made on the spot."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fink_lib.avro.container import container_header, write_container
from fink_lib.avro.schemas import AvroSchema, branches_of, parse_schema
from fink_lib.config import project_root
from fink_lib.simulator.rewrite import encode
from fink_lib.surveys.ztf import SCHEMA_FILE, packet_schema

SHARED_DATA = Path(os.environ.get("FINK_SHARED_DATA") or project_root().parent / "shared" / "data")
HEADER = container_header(SCHEMA_FILE.read_bytes())

_ZERO = {"long": 0, "int": 0, "float": 0.0, "double": 0.0, "string": "", "bytes": b""}


def real_values(folder: str = "ztf") -> Iterator[tuple[str, bytes]]:
    """Every recorded packet below a folder of the shared data, with where it came from."""
    for path in sorted((SHARED_DATA / folder).rglob("*")):
        if path.name.endswith(".tar.gz"):
            with tarfile.open(path) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.isfile() else None
                    if file is not None:
                        yield f"{path.name}:{member.name}", file.read()
        elif path.suffix == ".avro":
            yield path.name, path.read_bytes()


def record(candid: int = 1, **candidate: Any) -> dict[str, Any]:
    """A complete packet of version 4.02, without history and cutouts unless they are added."""
    made = _blank(packet_schema().root)
    made |= {"schemavsn": "4.02", "publisher": "test", "objectId": "ZTF20aaaaaaa", "candid": candid}
    made["candidate"] |= {"jd": 2_460_000.75, "ra": 10.0, "dec": -5.0, "candid": candid, "fid": 1, **candidate}
    return made


def history_entry(**values: Any) -> dict[str, Any]:
    """One entry of ``prv_candidates``: an upper limit unless values are given."""
    items = next(b for b in branches_of(packet_schema().fields["prv_candidates"]) if b["type"] == "array")["items"]
    return _blank(items) | {"jd": 2_459_999.7, "fid": 1, "diffmaglim": 20.0} | values


def container(made: dict[str, Any] | None = None, schema: str | None = None) -> bytes:
    """The packet as a container, under the newest schema or another one."""
    if schema is None:
        return write_container(HEADER, encode(packet_schema(), made or record()))
    parsed: AvroSchema = parse_schema(schema)
    return write_container(container_header(schema.encode()), encode(parsed, made or {}))


def _blank(kind: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in kind["fields"]:
        branches = branches_of(field["type"])
        if any(branch["type"] == "null" for branch in branches):
            values[field["name"]] = None
        elif branches[0]["type"] == "record":
            values[field["name"]] = _blank(branches[0])
        else:
            values[field["name"]] = _ZERO[branches[0]["type"]]
    return values
