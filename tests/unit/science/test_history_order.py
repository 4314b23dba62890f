"""Packets may list their history in any order: no light-curve value depends on it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings
from tests.unit.science.only import runner_of

MODULES = (
    "lc_features_g",
    "lc_features_r",
    "first_detection",
    "previous_entry",
    "mag_rate",
    "kn_rate",
    "rise_rate",
    "r_linfit_r2",
    "is_transient",
    "anomaly_score",
)


def shuffled(alerts: pa.Table, seed: int) -> pa.Table:
    """Give the alerts with the history of each in another order."""
    place = alerts.schema.get_field_index("prv_candidates")
    history = alerts.column(place).combine_chunks()
    offsets = history.offsets.to_numpy()
    random = np.random.default_rng(seed)
    order = np.concatenate(
        [random.permutation(np.arange(start, stop)) for start, stop in zip(offsets[:-1], offsets[1:], strict=True)]
    )
    moved = history.values.take(pa.array(order.astype(np.int64)))
    start = pa.array(offsets - offsets[0])
    return alerts.set_column(
        place, alerts.schema.field(place), pa.ListArray.from_arrays(start, moved, mask=history.is_null())
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_shuffling_the_history_changes_no_value(science_settings: Settings, varied_alerts: pa.Table, seed: int) -> None:
    runner = runner_of(science_settings, *MODULES)
    columns = [name for module in runner.modules for name in module.declaration.outputs.names]
    straight, other = runner.apply(varied_alerts), runner.apply(shuffled(varied_alerts, seed))
    assert not straight.errors
    for name in (*columns, "fink_status"):
        assert straight.table.column(name).equals(other.table.column(name)), name
