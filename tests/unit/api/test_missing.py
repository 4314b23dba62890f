"""The values that stand for "nothing there"."""

from __future__ import annotations

import pyarrow as pa

from fink_lib.api.missing import STATUS_COLUMN, ZTF_DEFAULTS, render_missing
from fink_lib.science.loading import find_modules
from fink_lib.surveys import get_survey
from fink_lib.surveys.ztf_packet import HISTORIC


def table(status, **columns):
    kind = pa.map_(pa.string(), pa.string())
    return pa.table({STATUS_COLUMN: pa.array(status, kind), **columns})


def test_each_column_waits_for_the_module_that_fills_it(tmp_path):
    from fink_lib.config import load_settings

    modules = find_modules(get_survey("ztf"), load_settings(tmp_path))
    assert modules
    for module in modules:
        for field in module.declaration.outputs:
            default = ZTF_DEFAULTS.get(f"d:{field.name}")
            assert default is None or default.module == module.declaration.name, field.name


def test_every_historic_value_of_the_streams_is_one_of_the_api_too():
    assert {f"d:{name}" for name in HISTORIC} <= set(ZTF_DEFAULTS)


def test_every_default_has_the_type_of_its_column():
    schema = get_survey("ztf").fink_schema
    for name, default in ZTF_DEFAULTS.items():
        column = name.removeprefix("d:")
        if column in schema.names and not pa.types.is_nested(schema.field(column).type):
            assert pa.scalar(default.value, schema.field(column).type).as_py() == default.value


def test_a_null_is_filled_only_where_the_module_looked():
    words = ["ok", "no_match", "not_applicable", "unavailable", "failed"]
    rows = table([[("roid", word)] for word in words] + [[], None], **{"d:roid": pa.nulls(7, pa.int32())})
    assert render_missing(rows).column("d:roid").to_pylist() == [0, 0, 0, None, None, None, None]


def test_values_that_are_there_stay():
    rows = table([[("roid", "ok")], [("roid", "unavailable")]], **{"d:roid": pa.array([3, 2], pa.int32())})
    assert render_missing(rows).column("d:roid").to_pylist() == [3, 2]
