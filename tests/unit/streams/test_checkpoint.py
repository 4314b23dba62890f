"""A damaged checkpoint is refused before Spark sees it."""

from __future__ import annotations

import pytest

from fink_lib.config import Settings
from fink_lib.errors import ConfigError
from fink_lib.streams.checkpoint import check, new_generation, open_checkpoint

OFFSETS = 'v1\n{"batchWatermarkMs":0,"conf":{}}\n{"topic":{"0":1}}\n'


@pytest.fixture
def folder(tmp_path):
    for name in ("offsets", "commits"):
        (tmp_path / name).mkdir()
    (tmp_path / "metadata").write_text('{"id":"x"}')
    for batch in (0, 1):
        (tmp_path / "offsets" / str(batch)).write_text(OFFSETS)
    (tmp_path / "commits" / "0").write_text("v1\n{}")
    return tmp_path


def test_a_whole_checkpoint_passes(folder):
    check(folder)


def test_an_empty_one_passes(tmp_path):
    check(tmp_path)


def test_missing_metadata_is_refused(folder):
    (folder / "metadata").unlink()
    with pytest.raises(ConfigError, match="metadata"):
        check(folder)


@pytest.mark.parametrize("text", ["", "v1\n", "v1\n{}\n", 'v1\n{"a":1}\n{"topic":{"0"', "v9\n{}\n{}"])
def test_a_torn_offsets_file_is_refused(folder, text):
    (folder / "offsets" / "1").write_text(text)
    with pytest.raises(ConfigError, match="torn"):
        check(folder)


def test_commits_beyond_the_offsets_are_refused(folder):
    (folder / "commits" / "5").write_text("v1\n{}")
    with pytest.raises(ConfigError, match="beyond"):
        check(folder)


def test_generations_rise_and_remember_their_start(tmp_path):
    settings = Settings(home=tmp_path)
    first = open_checkpoint(settings, "ztf", "stream2raw")
    assert (first.generation, first.start, first.key(3)) == (1, "", "g1-000000003")
    second = new_generation(settings, "ztf", "stream2raw", '{"t":{"0":5}}')
    assert open_checkpoint(settings, "ztf", "stream2raw") == second
    assert (second.generation, second.start) == (2, '{"t":{"0":5}}')
