"""A trained model on disk: a folder with ONNX graphs, plain arrays and a card, and nothing that can run code.

``*.onnx``
    Graphs, run by onnxruntime.
``arrays.npz``
    Normalisation, calibration and whatever else is numbers; read without pickle.
``card.json``
    What the model is, how it was made, how well it does; names the digest of the other files.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fink_lib.errors import ConfigError
from fink_lib.science.kept import kept_folder
from fink_lib.science.models.inference import Graph

CARD_FILE = "card.json"
ARRAYS_FILE = "arrays.npz"
PACKAGED = Path(__file__).parent / "artefacts"
"""Artefacts that are part of the project."""

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Trained:
    """What a trainer gives.

    Parameters
    ----------
    graphs : mapping of str to bytes
        Serialised ONNX models by name.
    arrays : mapping of str to array
        Numbers (no objects).
    card : mapping
        JSON values; name, version, seed and digest are added when it is written.
    """

    graphs: Mapping[str, bytes]
    arrays: Arrays
    card: Mapping[str, Any]


@dataclass(frozen=True)
class Artefact:
    """A model that is ready to be used.

    Parameters
    ----------
    name, version : str
        Which model.
    sha256 : str
        Digest of everything that decides its results.
    graphs : mapping of str to Graph
        By file stem.
    arrays : mapping of str to array
        By name.
    card : mapping
        Its model card.
    folder : Path, optional
        Where it was read from; none for one that was trained in this process.
    """

    name: str
    version: str
    sha256: str
    graphs: Mapping[str, Graph]
    arrays: Arrays
    card: Mapping[str, Any] = field(repr=False)
    folder: Path | None = None

    @property
    def label(self) -> str:
        """Version and digest, as ``fink_versions`` has them."""
        return f"{self.version}@sha256:{self.sha256[:16]}"


def payload_of(trained: Trained) -> dict[str, bytes]:
    """Give the files of a trained model but for its card."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(trained.arrays))
    return {f"{name}.onnx": data for name, data in sorted(trained.graphs.items())} | {ARRAYS_FILE: buffer.getvalue()}


def payload_digest(payload: Mapping[str, bytes]) -> str:
    """Give one sha256 over files by name and content."""
    digest = hashlib.sha256()
    for name in sorted(payload):
        digest.update(f"{name}\0{len(payload[name])}\0".encode())
        digest.update(payload[name])
    return digest.hexdigest()


def in_memory(name: str, version: str, trained: Trained) -> Artefact:
    """Give a trained model as it will be after it was written and read."""
    return _assemble(name, version, payload_of(trained), dict(trained.card), None)


def write_artefact(name: str, version: str, trained: Trained, into: Path) -> Path:
    """Write a trained model as folder ``<into>/<name>``, replacing what was there.

    Parameters
    ----------
    name, version : str
        Which model.
    trained : Trained
        The model.
    into : Path
        Folder of artefacts.

    Returns
    -------
    Path
        The folder of the model.
    """
    payload = payload_of(trained)
    card = {"name": name, "version": version, "sha256": payload_digest(payload)} | dict(trained.card)
    into.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=into))
    work.chmod(0o755)
    folder = into / name
    try:
        for file, data in payload.items():
            (work / file).write_bytes(data)
        (work / CARD_FILE).write_text(json.dumps(card, indent=1) + "\n")
        for path in work.iterdir():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        _keep(folder)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def _keep(folder: Path) -> None:
    """Make room for a new model; the one that is there stays under its digest."""
    try:
        digest = str(json.loads((folder / CARD_FILE).read_text())["sha256"])
    except (OSError, json.JSONDecodeError, KeyError):  # none, or half of one
        shutil.rmtree(folder, ignore_errors=True)
        return
    place = kept_folder(folder.parent) / folder.name / digest[:16]
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    folder.rename(place)


def read_artefact(folder: Path) -> Artefact:
    """Read a model.

    Parameters
    ----------
    folder : Path
        Holds a card and the files that it speaks of.

    Raises
    ------
    ConfigError
        If a file is missing or is not the one the card speaks of.
    """
    try:
        card = json.loads((folder / CARD_FILE).read_text())
        payload = {
            path.name: path.read_bytes()
            for path in sorted(folder.iterdir())
            if path.suffix == ".onnx" or path.name == ARRAYS_FILE
        }
    except (OSError, json.JSONDecodeError) as error:
        raise ConfigError(f"model in {folder} cannot be read ({error}); train it again: fink models train") from error
    if payload_digest(payload) != card.get("sha256"):
        raise ConfigError(
            f"model in {folder} is not the one its card describes: files were changed; "
            f"restore them or train it again: fink models train {folder.name}"
        )
    return _assemble(str(card["name"]), str(card["version"]), payload, card, folder)


def _assemble(
    name: str, version: str, payload: Mapping[str, bytes], card: Mapping[str, Any], folder: Path | None
) -> Artefact:
    with np.load(io.BytesIO(payload[ARRAYS_FILE]), allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    for array in arrays.values():
        array.flags.writeable = False
    graphs = {Path(file).stem: Graph(data) for file, data in payload.items() if file.endswith(".onnx")}
    return Artefact(name, version, payload_digest(payload), graphs, arrays, card, folder)
