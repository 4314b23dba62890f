"""Names that users give to objects reach the archive's table, also when HBase was away at first."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from fink_lib.api.auth.guard import Caller
from fink_lib.archive.hbase import HBase
from fink_lib.archive.reader import ArchiveReader
from fink_lib.community.mirror import TABLE, copy_names
from fink_lib.community.names import keep_naming, read_naming
from fink_lib.community.store import Store
from fink_lib.config import Settings
from fink_lib.errors import TransientError
from fink_lib.surveys import get_survey
from tests.unit.api.conftest import free_port

ZTF = get_survey("ztf")
ANN = Caller("ann", "0" * 12, frozenset({"metadata"}), "127.0.0.1")
NOW = datetime(2025, 11, 3, tzinfo=UTC)
NAME = "ZTF21abiuvdk"


@pytest.mark.usefixtures("hbase")
def test_the_archive_has_the_latest_name_of_each_object(stack_home: Settings, tmp_path) -> None:
    hbase = stack_home.hbase.model_copy(update={"table_prefix": f"t{uuid.uuid4().hex[:8]}.", "pre_split": False})
    store = Store(tmp_path)
    keep_naming(store, read_naming(NAME, "My first SN", "Ann", "rises fast"), ANN, NOW)
    with pytest.raises(TransientError):
        copy_names(store, hbase.model_copy(update={"thrift_port": free_port()}), ZTF)
    keep_naming(store, read_naming("ZTF18aaaaaah", "Other", "Ann", ""), ANN, NOW)
    assert copy_names(store, hbase, ZTF) == 2
    assert copy_names(store, hbase, ZTF) == 0
    keep_naming(store, read_naming(NAME, "My best SN", "Ann", "it fades"), ANN, NOW + timedelta(seconds=1))
    assert copy_names(store, hbase, ZTF) == 1
    with HBase(hbase) as connection:
        reader = ArchiveReader(connection, ZTF, TABLE)
        (row,) = reader.by_keys([reader.table.key.format((NAME,))]).to_pylist()
        (other,) = reader.by_keys([reader.table.key.format(("ZTF18aaaaaah",))]).to_pylist()
    assert row == {
        "i:objectId": NAME,
        "d:internal_name": "My best SN",
        "d:internal_name_encoded": "MybestSN",
        "d:comments": "it fades",
        "d:username": "Ann",
    }
    assert other["d:internal_name"] == "Other"
    store.close()
