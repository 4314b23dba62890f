"""Arguments and files of Fink's own simulator mean what they mean there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.errors import ConfigError
from fink_lib.simulator.fink_arguments import ALIASES, from_fink, read_config

FILE = """
# Local mode
KAFKA_PORT_SIM=29092
KAFKA_IPPORT_SIM="localhost:${KAFKA_PORT_SIM}"
KAFKA_IPPORT=""
export KAFKA_TOPIC="ztf-stream-sim"  # a comment
FINK_DATA_SIM=$PLACE/datasim
DISPLAY_FIELD=objectId

NALERTS_PER_OBS=4
NOBSERVATIONS=-1
TIME_INTERVAL=5
"""


def options(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLACE", "/data")
    file = tmp_path / "fink_alert_simulator.conf"
    file.write_text(FILE)
    return file


def test_every_argument_has_an_option() -> None:
    words = [part for name in ALIASES for part in (name, f"value-of{name}")]
    assert options(from_fink(words)) == {option: f"value-of{name}" for name, option in ALIASES.items()}


def test_a_value_may_follow_an_equals_sign() -> None:
    assert options(from_fink(["-topic=mine", "-nalerts_per_obs=5", "-nobservations=2"])) == {
        "--topic": "mine", "--per-visit": "5", "--visits": "2"
    }  # fmt: skip


def test_whoever_uses_finks_arguments_gets_finks_defaults() -> None:
    assert options(from_fink(["-datasimpath", "d"])) == {"--per-visit": "3", "--visits": "3", "--data": "d"}
    assert from_fink(["-datasimpath", "d", "--visits", "9"])[-2:] == ["--visits", "9"]
    assert "--visits" not in from_fink(["-datasimpath", "d", "--visits", "9"])[:-2]


@given(st.lists(st.sampled_from(["--data", "x", "--synthetic", "20", "--clock", "max", "--loop"])))
def test_arguments_without_any_of_fink_stay_as_they_are(words: list[str]) -> None:
    assert from_fink(words) == words


def test_a_file_sets_options_and_the_command_line_wins(config: Path) -> None:
    from_file = {
        "--servers": "localhost:29092", "--topic": "ztf-stream-sim", "--data": "/data/datasim", "--interval": "5",
        "--per-visit": "4", "--visits": "-1", "--display": "objectId",
    }  # fmt: skip
    assert read_config(config) == from_file
    assert options(from_fink(["-c", str(config)])) == from_file
    told = options(from_fink(["-c", str(config), "-topic", "other", "--interval", "0.1", "-to_display", "None"]))
    assert (told["--topic"], told["--interval"], "--display" in told) == ("other", "0.1", False)


def test_the_real_cluster_wins_over_the_local_one(config: Path) -> None:
    config.write_text(FILE.replace('KAFKA_IPPORT=""', 'KAFKA_IPPORT="cluster:9092"'))
    assert read_config(config)["--servers"] == "cluster:9092"


def test_a_synthetic_night_needs_no_data_of_the_file(config: Path) -> None:
    assert "--data" not in from_fink(["--synthetic", "5", "-c", str(config)])


@pytest.mark.parametrize("line", ["source other.conf", "A=1; rm -rf x", 'A="open', "A=1 B=2"])
def test_a_line_that_is_no_assignment_is_pointed_at(config: Path, line: str) -> None:
    config.write_text(f"KAFKA_TOPIC=x\n{line}\n")
    with pytest.raises(ConfigError, match=r"fink_alert_simulator\.conf:2:"):
        read_config(config)


@pytest.mark.parametrize("words", [["-c"], ["-topic"], ["-c", "/nosuch.conf"]])
def test_what_lacks_a_value_or_a_file_is_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError):
        from_fink(words)
