"""An installation with two nights in its lake and without services."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from fink_lib.config import Settings
from fink_lib.lake import Lake, open_lake
from tests.unit.transfer.nights import add_nights


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give the installation; a piece is small, so that a night is many."""
    base = Settings(home=tmp_path)
    return base.model_copy(update={"transfer": base.transfer.model_copy(update={"piece_rows": 7})})


@pytest.fixture
def lake(settings: Settings) -> Lake:
    """Give its lake."""
    opened = open_lake(settings, "ztf")
    opened.ensure()
    return opened


@pytest.fixture
def alerts(lake: Lake) -> pa.Table:
    """Write the nights and give their alerts."""
    return add_nights(lake)
