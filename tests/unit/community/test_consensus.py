"""One vote for each person; labels that differ in spelling alone are one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.community.consensus import find_consensus

labels = st.sampled_from(["SN Ia", "sn-ia", "SN  Ia", "AGN", "Kilonova", "agn"])
said = st.lists(st.tuples(st.sampled_from("abcdef"), labels, st.sampled_from(["x", "y"])), max_size=30)


def votes(*pairs):
    return [{"owner": owner, "classification": label, "topic": f"of-{owner}"} for owner, label in pairs]


def test_more_than_half_of_the_people_decide():
    told = find_consensus(votes(("ann", "SN Ia"), ("bob", "sn-ia"), ("eve", "AGN")))
    assert told.classification == "SN Ia"
    assert [(one.classification, one.votes) for one in told.shares] == [("SN Ia", 2), ("AGN", 1)]
    assert told.shares[0].owners == ("ann", "bob")
    assert told.shares[0].topics == ("of-ann", "of-bob")


def test_half_is_no_majority_and_one_voice_no_consensus():
    assert find_consensus(votes(("ann", "SN Ia"), ("bob", "AGN"))).classification is None
    assert find_consensus(votes(("ann", "SN Ia"))).classification is None
    assert find_consensus([]).votes == 0


def test_a_person_with_many_annotators_has_one_vote_the_last():
    told = find_consensus(votes(("ann", "AGN"), ("ann", "AGN"), ("ann", "SN Ia"), ("bob", "SN Ia")))
    assert (told.votes, told.classification, told.agreement) == (2, "SN Ia", 1.0)


def test_agreement_is_one_minus_the_scaled_entropy():
    told = find_consensus(votes(("a", "x"), ("b", "x"), ("c", "x"), ("d", "y")))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert told.agreement == pytest.approx(1 - entropy / math.log(4))


@given(said)
def test_votes_add_up_whatever_is_said(pairs):
    told = find_consensus([{"owner": o, "classification": label, "topic": t} for o, label, t in pairs])
    people = {o for o, _, _ in pairs}
    assert told.votes == len(people) == sum(one.votes for one in told.shares)
    assert sorted(owner for one in told.shares for owner in one.owners) == sorted(people)
    assert 0 <= told.agreement <= 1
    assert told.classification in (None, told.shares[0].classification if told.shares else None)
    if told.classification is not None:
        assert told.shares[0].share > 0.5
