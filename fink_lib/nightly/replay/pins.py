"""By which versions a night is made again: those of now, or older catalogues and models by their digest.

Modules and the class rule are code: their versions are those of the release that runs. Catalogues and models are data,
of which the installation keeps what it replaced. A pinned replay computes in a *view* of the installation: a folder of
links in which the pinned snapshot or model stands in its usual place, so that no module knows of pins.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from fink_lib.errors import ConfigError
from fink_lib.science.catalogs.known import KNOWN
from fink_lib.science.catalogs.sources import LayeredSource, PackageSource, SnapshotSource
from fink_lib.science.columns import one_chunk
from fink_lib.science.declarations import VERSIONS_COLUMN
from fink_lib.science.kept import kept_folder
from fink_lib.science.models.artefact import CARD_FILE, PACKAGED

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

LIVE = "live"
"""Stands for all catalogues and models by which the live night was computed."""

CATALOG, MODEL = "catalog.", "model."
LEAST_DIGITS = 8
"""Of a digest that is given alone."""


def read_pins(words: Iterable[str], lake: Lake, night: str) -> dict[str, str]:
    """Read pins as people write them.

    Parameters
    ----------
    words : iterable of str
        Each ``catalog.<name>=<version>``, ``model.<name>=<version>``, ``<module>=<version>`` or ``live``. A version is
        as ``fink_versions`` has it, or the digest in it.
    lake, night
        The live night, for ``live``.

    Raises
    ------
    ConfigError
        If one of them is none of these, or the live night was computed by several versions of one thing.
    """
    pins: dict[str, str] = {}
    for word in words:
        if word == LIVE:
            found = {name: labels for name, labels in versions_of(lake, night).items() if _is_data(name)}
            mixed = {name: labels for name, labels in found.items() if len(labels) > 1}
            if mixed:
                name, labels = next(iter(mixed.items()))
                raise ConfigError(f"night {night} has alerts by {', '.join(labels)} of {name}; pin one of them by name")
            pins = {name: labels[0] for name, labels in found.items()} | pins
            continue
        name, given, version = word.partition("=")
        if not (name and given and version):
            raise ConfigError(f"{word!r} is no pin; write catalog.NAME=VERSION, model.NAME=VERSION or live")
        pins[name] = version
    return pins


def versions_of(lake: Lake, night: str) -> dict[str, list[str]]:
    """Give every version that some science row of a night names, by module, catalogue or model."""
    found: dict[str, set[str]] = defaultdict(set)
    for batch in lake.dataset("science", [night]).to_batches(columns=[VERSIONS_COLUMN], batch_size=100_000):
        column = one_chunk(pa.chunked_array([batch.column(0)]))
        pairs = pa.table({"name": column.keys, "version": column.items})
        for pair in pairs.group_by(["name", "version"]).aggregate([]).to_pylist():
            found[pair["name"]].add(pair["version"])
    return {name: sorted(labels) for name, labels in sorted(found.items())}


def view_of(settings: Settings, pins: Mapping[str, str], folder: Path) -> Settings:
    """Give settings under which modules find the pinned catalogues and models.

    Parameters
    ----------
    settings : Settings
        The installation.
    pins : mapping
        What :func:`read_pins` gave; pins of modules are checked by :func:`check_pins`.
    folder : Path
        Where the view is made; replaced if it is there.

    Raises
    ------
    ConfigError
        If the installation does not have such a version (any more).
    """
    patient = settings.model_copy(update={"services": settings.services.for_healing, "lake_uri": settings.lake_root})
    chosen = {name: version for name, version in pins.items() if _is_data(name)}
    shutil.rmtree(folder, ignore_errors=True)
    if not chosen:
        return patient
    view = patient.model_copy(update={"home": folder})
    for original, copy in ((settings.catalog_dir, view.catalog_dir), (settings.model_dir, view.model_dir)):
        original.mkdir(parents=True, exist_ok=True)
        copy.mkdir(parents=True)
        for entry in original.iterdir():
            (copy / entry.name).symlink_to(entry)
    (settings.catalog_dir / "built").mkdir(exist_ok=True)
    (view.catalog_dir / "built").unlink(missing_ok=True)
    (view.catalog_dir / "built").symlink_to(settings.catalog_dir / "built")
    for name, version in chosen.items():
        if name.startswith(MODEL):
            bare = name.removeprefix(MODEL)
            _stand(view.model_dir / bare, _model(settings, bare, version))
        else:
            bare = name.removeprefix(CATALOG)
            _stand(view.catalog_dir / f"{bare}.parquet", _snapshot(settings, bare, version))
    return view


def check_pins(pins: Mapping[str, str], versions: Mapping[str, str]) -> None:
    """Make sure that what is about to run is what was pinned.

    Raises
    ------
    ConfigError
        If a version is another one; for a module, with the advice to run the release that has it.
    """
    for name, version in pins.items():
        there = versions.get(name, "none")
        if not _fits(there, version):
            advice = (
                "it cannot be pinned to what the installation does not keep"
                if _is_data(name)
                else "a module's version is its code: run the replay from the release that has it"
            )
            raise ConfigError(f"{name} is {there} here, not {version}; {advice}")


def _is_data(name: str) -> bool:
    return name.startswith((CATALOG, MODEL))


def _fits(label: str, wanted: str) -> bool:
    """Tell whether a label ``version@sha256:digest`` is the wanted one, given whole, as version or as digest."""
    version, _, digest = label.partition("@sha256:")
    asked = wanted.rpartition("sha256:")[2][:16]
    return wanted in (label, version) or (len(asked) >= LEAST_DIGITS and digest.startswith(asked))


def _stand(place: Path, target: Path | None) -> None:
    place.unlink(missing_ok=True)
    if target is not None:
        place.symlink_to(target)


def _model(settings: Settings, name: str, version: str) -> Path:
    kept = kept_folder(settings.model_dir) / name
    candidates = [settings.model_dir / name, PACKAGED / name, *sorted(kept.glob("*"))]
    labels = []
    for folder in candidates:
        if not (folder / CARD_FILE).exists():
            continue
        card = json.loads((folder / CARD_FILE).read_text())
        labels.append(f"{card['version']}@sha256:{card['sha256'][:16]}")
        if _fits(labels[-1], version):
            return folder
    raise ConfigError(
        f"there is no version {version} of model {name} here; there are: {', '.join(dict.fromkeys(labels)) or 'none'}"
    )


def _snapshot(settings: Settings, name: str, version: str) -> Path | None:
    """Find the snapshot with which a catalogue has a version; None if it has it without a snapshot."""
    labels = []
    for file, label in _catalog_labels(settings, name):
        if _fits(label, version):
            return file
        labels.append(label)
    raise ConfigError(
        f"there is no version {version} of catalogue {name} here; there are: {', '.join(labels) or 'none'}"
    )


def _catalog_labels(settings: Settings, name: str) -> Iterator[tuple[Path | None, str]]:
    known = KNOWN.get(name)
    columns = known.columns if known else {}
    package = PackageSource(name, known.files, columns) if known and known.files else None
    kept = kept_folder(settings.catalog_dir) / name
    for file in (settings.catalog_dir / f"{name}.parquet", *sorted(kept.glob("*.parquet"))):
        if file.exists():
            snapshot = SnapshotSource(name, file, columns)
            source = LayeredSource(snapshot, package) if package else snapshot
            version = (pq.read_schema(file).metadata or {}).get(b"fink_version", b"unversioned").decode()
            yield file, f"{version}@sha256:{source.sha256()[:16]}"
    if package is not None and package.signature() is not None:
        yield None, f"package@sha256:{package.sha256()[:16]}"
