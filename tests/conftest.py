"""What all tests share: markers by folder, and real services for those that ask for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack_fixtures import airflow, api, hbase, kafka, stack_home

__all__ = ["airflow", "api", "hbase", "kafka", "stack_home"]

TIERS = ("spark", "stack", "faults")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if folder in TIERS:
            item.add_marker(folder)
