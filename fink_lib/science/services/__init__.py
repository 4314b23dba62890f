"""Catalogue services without a complete local copy, asked through one guarded client."""

from __future__ import annotations

from fink_lib.science.services.crossmatch import ServedCrossMatch
from fink_lib.science.services.known import SERVICES, Service, find_service

__all__ = ["SERVICES", "ServedCrossMatch", "Service", "find_service"]
