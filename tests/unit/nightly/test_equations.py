"""The ledger: a night that closes, and every way of not closing named."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.nightly.equations import Equation, distribution, offset_faults, raw2science
from fink_lib.nightly.kafka import OutputMessages
from fink_lib.nightly.ledger import all_places, ledger_sums, night_ledger, places
from fink_lib.nightly.offsets import by_place, compare_offsets, in_words
from tests.night_rows import NIGHT, TOPIC, science_rows
from tests.unit.nightly.conftest import good_science, ledger_rows, more_raw, rejected_rows


def rows(offsets, ids=None, reason=None, topic="t"):
    columns = {
        "topic": pa.array([topic] * len(offsets), pa.string()),
        "partition": pa.array([0] * len(offsets), pa.int32()),
        "offset": pa.array(offsets, pa.int64()),
        "alert_id": pa.array(ids or offsets, pa.int64()),
    }
    if reason is not None:
        columns["reason"] = pa.array([reason] * len(offsets), pa.string())
    return pa.table(columns)


class TestRaw2Science:
    def test_closes_when_every_row_became_one(self):
        equation = raw2science(rows([1, 2, 3, 4]), rows([1, 2]), rows([3, 4], reason="rb"))
        assert equation.closed
        assert equation.sentence == "raw2science: 4 raw = 2 science + 2 rejected + 0 duplicates"

    def test_names_a_lost_alert(self):
        equation = raw2science(rows([1, 2, 3]), rows([1]), rows([3], reason="rb"))
        assert equation.difference == 1
        assert "1 rows of raw became nothing: 2 (t[0] 2)" in equation.sentence

    def test_sees_a_loss_that_a_doubled_row_hides(self):
        equation = raw2science(rows([1, 2, 3]), rows([1, 1]), rows([3], reason="rb"))
        assert equation.difference == 0 and not equation.closed
        assert "became nothing" in equation.sentence and "more than one row" in equation.sentence

    def test_sees_an_alert_twice_in_science_under_two_offsets(self):
        equation = raw2science(rows([1, 2]), rows([1, 2], ids=[7, 7]), rows([], reason="rb"))
        assert equation.faults == ["science holds 1 alerts more than once"]

    def test_sees_science_without_raw(self):
        equation = raw2science(rows([1]), rows([1, 9]), rows([], reason="rb"))
        assert "1 rows of science or rejected have no row in raw" in equation.faults

    @given(st.lists(st.sampled_from(["science", "rb", "nbad", "duplicate"])))
    def test_closes_for_any_split_and_counts_it(self, fates):
        offsets = list(range(len(fates)))
        science = [o for o in offsets if fates[o] == "science"]
        gone = [o for o in offsets if fates[o] != "science"]
        rejected = rows(gone).append_column("reason", pa.array([fates[o] for o in gone], pa.string()))
        equation = raw2science(rows(offsets), rows(science), rejected)
        assert equation.closed
        assert equation.right["duplicates"] == fates.count("duplicate")
        assert equation.details["rejected_by_reason"] == {
            cut: fates.count(cut) for cut in ("nbad", "rb") if cut in fates
        }


class TestOffsets:
    def compare(self, begin, end, offsets, later_end=None):
        return compare_offsets(
            {("t", 0): begin},
            {("t", 0): end},
            {("t", 0): later_end or end},
            {("t", 0): np.sort(np.array(offsets, int))},
        )

    def test_everything_there(self):
        report = self.compare(2, 5, [2, 3, 4])
        assert offset_faults(report) == [] and report.expired == 0

    def test_names_missing_offsets(self):
        assert offset_faults(self.compare(0, 6, [0, 4, 5])) == [
            "3 messages are in neither raw nor quarantine: t[0] 1-3"
        ]

    def test_names_doubled_offsets(self):
        assert self.compare(0, 3, [0, 1, 1, 2, 2, 2]).doubled == {("t", 0): [1, 2]}

    def test_rows_older_than_retention_are_no_fault(self):
        report = self.compare(3, 5, [0, 1, 2, 3, 4])
        assert offset_faults(report) == [] and report.expired == 3

    def test_rows_of_a_deleted_topic_are_no_fault(self):
        report = compare_offsets({}, {}, {}, {("t", 0): np.array([0, 1])})
        assert offset_faults(report) == [] and report.expired == 2

    def test_rows_beyond_the_end_are_a_fault(self):
        assert "made anew" in offset_faults(self.compare(0, 2, [0, 1, 7]))[0]

    def test_rows_that_came_while_we_looked_are_no_fault(self):
        assert offset_faults(self.compare(0, 2, [0, 1, 2], later_end=3)) == []

    @given(st.integers(0, 5), st.lists(st.integers(0, 30), max_size=40))
    def test_missing_and_known_make_up_the_range(self, begin, offsets):
        end = 31
        report = self.compare(begin, end, offsets)
        known = {offset for offset in offsets if offset >= begin}
        assert set(report.missing.get(("t", 0), [])) | known == set(range(begin, end))
        assert report.expired == len({offset for offset in offsets if offset < begin})

    def test_many_ranges_are_told_in_short(self):
        assert in_words({("t", 0): [1, 3, 5, 7, 9]}) == "t[0] 1, t[0] 3, t[0] 5 and 2 more ranges"

    def test_offsets_are_sorted_by_partition(self):
        found = by_place(pa.concat_tables([rows([3, 1]), rows([2], topic="u")]))
        assert {place: offsets.tolist() for place, offsets in found.items()} == {("t", 0): [1, 3], ("u", 0): [2]}


class TestDistribution:
    def sent(self, offsets, ids):
        return rows(offsets, ids)

    def messages(self, placed, begin=0):
        return OutputMessages({("t", 0, offset): alert for offset, alert in placed.items()}, {("t", 0): begin})

    def test_closes_when_rows_and_messages_are_the_same(self):
        equation = distribution(self.sent([0, 2], [5, 6]), self.messages({0: 5, 2: 6}), rows([0, 1], [5, 6]))
        assert equation.closed and equation.details["by_topic"] == {"t": {"sent": 2, "messages": 2}}

    def test_names_a_message_without_a_row(self):
        equation = distribution(self.sent([0], [5]), self.messages({0: 5, 1: 6}), rows([0, 1], [5, 6]))
        assert equation.difference == -1 and "1 messages are not in sent: t[0] 1" in equation.faults

    def test_names_a_row_without_a_message(self):
        equation = distribution(self.sent([0, 1], [5, 6]), self.messages({0: 5}), rows([0, 1], [5, 6]))
        assert "1 rows of sent have no message: t[0] 1" in equation.faults

    def test_names_an_alert_sent_twice_to_a_topic(self):
        equation = distribution(self.sent([0, 1], [5, 5]), self.messages({0: 5, 1: 5}), rows([0], [5]))
        assert equation.difference == 0
        assert equation.faults == ["1 messages repeat an alert of their topic"]

    def test_names_an_alert_that_science_does_not_have(self):
        equation = distribution(self.sent([0], [5]), self.messages({0: 5}), rows([0], [6]))
        assert equation.faults == ["1 alerts in the topics are not in science: [5]"]

    def test_messages_that_retention_removed_count_on_both_sides(self):
        equation = distribution(self.sent([0, 1], [5, 6]), self.messages({1: 6}, begin=1), rows([0, 1], [5, 6]))
        assert equation.closed and equation.right == {"messages": 1, "expired": 1}


class TestNightLedger:
    def test_a_small_night_closes_by_the_stages_books(self, small_night, settings):
        ledger = night_ledger(settings, "ztf", NIGHT, kafka=False)
        assert ledger["closed"] and ledger["differences"] == []
        assert [stage["left"] for stage in ledger["stages"]] == [{"messages": 14}, {"raw": 13}, {"sent": 3}]
        assert ledger["stages"][1]["right"] == {"science": 10, "rejected": 2, "duplicates": 1}
        assert {stage["source"] for stage in ledger["stages"]} == {"ledger", "lake"}

    def test_a_broken_night_names_the_stage(self, small_night, settings):
        small_night.append("rejected", rejected_rows(small_night, [99], [77], ["rb"]))
        ledger = night_ledger(settings, "ztf", NIGHT, kafka=False)
        assert not ledger["closed"]
        (sentence,) = ledger["differences"]
        assert sentence.startswith("raw2science: 13 raw is not 10 science + 3 rejected + 1 duplicates (difference -1)")

    def test_science_that_distribution_never_met_is_told(self, small_night, settings):
        small_night.append("science", science_rows(small_night, 1, first_id=500))
        small_night.append("raw", more_raw(small_night, [500], [0]))
        faults = night_ledger(settings, "ztf", NIGHT, kafka=False)["stages"][2]["faults"]
        assert faults == ["distribution has received 10 of 11 science rows"]

    def test_a_batch_that_was_booked_twice_counts_once(self, small_night):
        small_night.append("ledger", ledger_rows(small_night, stream2raw=14))
        assert ledger_sums(small_night, NIGHT)["stream2raw"]["received"] == 14

    def test_places_of_other_topics_are_left_out(self, small_night):
        assert places(small_night, "raw", None, ["other"]).num_rows == 0
        assert places(small_night, "raw", None, [TOPIC]).num_rows == 13
        assert all_places(small_night, [TOPIC], None).num_rows == 14
        assert places(small_night, "raw", [NIGHT]).num_rows == 13


def test_an_equation_with_equal_sums_and_a_fault_is_open():
    assert not Equation("s", {"a": 1}, {"b": 1}, ["something"]).closed


@pytest.mark.parametrize("offset", [3])
def test_rows_of_raw_and_science_have_the_same_places(small_night, offset):
    science = places(small_night, "science", [NIGHT]).to_pylist()
    raw = places(small_night, "raw", [NIGHT]).to_pylist()
    assert science[offset] in raw
    assert good_science(small_night).num_rows == len(science)
