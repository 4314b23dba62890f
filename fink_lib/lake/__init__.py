"""Delta tables: schemas, idempotent writes, reading without Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fink_lib.lake.lake import Lake, NewFile
from fink_lib.surveys import get_survey

if TYPE_CHECKING:
    from fink_lib.config import Settings

__all__ = ["Lake", "NewFile", "open_lake"]


def open_lake(settings: Settings, survey: str) -> Lake:
    """Open the lake of a survey in an installation."""
    return Lake(settings.lake_root, get_survey(survey, settings))
