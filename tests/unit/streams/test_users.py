"""What a user may be called, and which topics and groups the rules of a user open."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka.admin import AclBinding, AclPermissionType, ResourcePatternType, ResourceType
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.config import Settings
from fink_lib.errors import ConfigError
from fink_lib.streams.topics import marker_topic
from fink_lib.streams.users import check_name, check_password, readable_topics, rules, topics_in

HOME = Settings(home=Path("/nowhere"))
ALL = readable_topics(HOME)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._]{0,20}", fullmatch=True).filter(lambda n: n.lower() != "anonymous")


def allows(bindings: frozenset[AclBinding], kind: ResourceType, resource: str) -> bool:
    """Decide as Kafka does: one rule must allow it, none may forbid it."""
    hits = {
        one.permission_type
        for one in bindings
        if one.restype == kind
        and (
            resource.startswith(one.name)
            if one.resource_pattern_type == ResourcePatternType.PREFIXED
            else resource == one.name
        )
    }
    return hits == {AclPermissionType.ALLOW}


@pytest.mark.parametrize(
    "topic",
    [
        "fink_unknowns_ztf",
        "fink_ztf_20240312",
        "fink_grb_bronze",
        "fink_corrections_ztf",
        "ftest_unknowns_ztf",
        "ftransfer_ztf_2026-01-15_123456_schema",
        "fxmatch_ztf_2026-01-15_123456",
    ],
)
def test_output_topics_are_readable(topic: str) -> None:
    assert allows(rules("ann", ALL, [marker_topic("ztf")]), ResourceType.TOPIC, topic)


@pytest.mark.parametrize(
    "topic",
    ["ztf_20240312_programid1", "__transaction_state", "__consumer_offsets", "igwn.gwalert", "fink_ztf_markers"],
)
def test_input_and_internal_topics_are_not(topic: str) -> None:
    assert not allows(rules("ann", ALL, [marker_topic("ztf")]), ResourceType.TOPIC, topic)


def test_the_prefix_of_this_installation_is_one_of_output_topics() -> None:
    streams = HOME.streams.model_copy(update={"substream_prefix": "replay"})
    settings = HOME.model_copy(update={"streams": streams})
    assert "replay_*" in readable_topics(settings)
    assert readable_topics(settings, ["replay_unknowns_ztf"]) == ("replay_unknowns_ztf",)
    # what begins with an underscore is Kafka's own
    nameless = HOME.model_copy(update={"streams": HOME.streams.model_copy(update={"substream_prefix": ""})})
    assert readable_topics(nameless) == ALL


def test_only_what_was_asked_for_is_given() -> None:
    asked = readable_topics(HOME, ["fink_grb_*", "fink_unknowns_ztf", "fink_grb_*"])
    bindings = rules("ann", asked, [])
    assert asked == topics_in(bindings) == ("fink_grb_*", "fink_unknowns_ztf")
    assert allows(bindings, ResourceType.TOPIC, "fink_grb_gold")
    assert not allows(bindings, ResourceType.TOPIC, "fink_unknowns_ztf2")


@pytest.mark.parametrize(
    "asked", ["ztf_20240312_programid1", "*", "f*", "fink*", "__consumer_offsets", "fink_*_ztf", "fink_a b", ""]
)
def test_nothing_else_can_be_asked_for(asked: str) -> None:
    with pytest.raises(ConfigError, match="is no output topic"):
        readable_topics(HOME, ["fink_unknowns_ztf", asked])


@given(one=NAMES, other=NAMES, tail=st.text("ab.-_", max_size=4))
def test_nobody_takes_part_in_the_group_of_somebody_else(one: str, other: str, tail: str) -> None:
    theirs = rules(other, ALL, [])
    assert allows(theirs, ResourceType.GROUP, other)
    assert allows(theirs, ResourceType.GROUP, f"{other}-{tail}")
    if one != other:
        assert not allows(theirs, ResourceType.GROUP, one)
        assert not allows(theirs, ResourceType.GROUP, f"{one}-{tail}")


@pytest.mark.parametrize("name", ["ANONYMOUS", "anonymous", "", "a b", "a,b", "a=b", "ann-b", "*", ".a", "a" * 65, "é"])
def test_a_name_that_is_the_broker_s_or_that_rules_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a user"):
        check_name(name)


@pytest.mark.parametrize("password", ["", "short", "tab\tinside it", "päßwort-lang"])
def test_a_password_that_clients_spell_differently_is_refused(password: str) -> None:
    with pytest.raises(ConfigError, match="the password must have"):
        check_password(password)
    assert check_password("long enough it is") == "long enough it is"
