"""What a new snapshot or model replaces stays, under its digest, so that a night can be made again as it was.

``<folder>/.kept/<name>/<digest>``; a person may remove what is not wanted any more.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

FOLDER = ".kept"


def kept_folder(folder: Path) -> Path:
    """Give the folder of what was replaced in a folder of catalogues or models."""
    return folder / FOLDER


def keep_file(file: Path, name: str, sha256: str) -> None:
    """Keep a file that is about to be replaced; a second name for the same bytes, not a copy."""
    place = kept_folder(file.parent) / name / f"{sha256[:16]}{file.suffix}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):  # it was in use before
        os.link(file, place)
