"""What annotators agree on: one vote for each person and object.

A person may run several annotators, and an annotator may change its mind; the person's latest word on an object is the
vote. Labels are compared without regard to case, blanks and hyphens, and shown as they are written most often.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

LEAST_VOTES = 2
"""A single voice is no consensus."""


@dataclass(frozen=True)
class Share:
    """One label: how many votes it has, and whose."""

    classification: str
    votes: int
    share: float
    owners: tuple[str, ...]
    topics: tuple[str, ...]


@dataclass(frozen=True)
class Consensus:
    """What is thought of one object.

    Parameters
    ----------
    votes : int
        People who said something.
    shares : tuple of Share
        By label, the most frequent first.
    classification : str, optional
        What more than half of at least :data:`LEAST_VOTES` people say; None if there is no such label.
    agreement : float
        1 if all say the same, 0 if everybody says something else: 1 minus the entropy of the shares over that of as
        many labels as there are votes. 1 for a single vote.
    """

    votes: int
    shares: tuple[Share, ...]
    classification: str | None
    agreement: float


def find_consensus(annotations: Iterable[Mapping[str, Any]]) -> Consensus:
    """Count the votes on one object.

    Parameters
    ----------
    annotations : iterable of mapping
        In the order of time; ``owner``, ``topic`` and ``classification`` of each.

    Returns
    -------
    Consensus
    """
    latest: dict[str, tuple[str, str]] = {}
    for one in annotations:
        latest[one["owner"]] = (one["classification"], one["topic"])
    spelled: dict[str, Counter[str]] = {}
    voters: dict[str, list[str]] = {}
    topics: dict[str, set[str]] = {}
    for owner, (label, topic) in sorted(latest.items()):
        plain = plain_label(label)
        spelled.setdefault(plain, Counter())[label] += 1
        voters.setdefault(plain, []).append(owner)
        topics.setdefault(plain, set()).add(topic)
    votes = len(latest)
    shares = sorted(
        (
            Share(
                min(spelled[plain], key=lambda label: (-spelled[plain][label], label)),
                len(owners),
                len(owners) / votes,
                tuple(owners),
                tuple(sorted(topics[plain])),
            )
            for plain, owners in voters.items()
        ),
        key=lambda one: (-one.votes, one.classification),
    )
    agreed = shares[0].classification if votes >= LEAST_VOTES and 2 * shares[0].votes > votes else None
    return Consensus(votes, tuple(shares), agreed, _agreement([one.votes for one in shares], votes))


def plain_label(label: str) -> str:
    """Give what two spellings of a label have in common.

    >>> plain_label("SN Ia") == plain_label("sn-ia ")
    True
    """
    return re.sub(r"[\s_-]+", "", label).casefold()


def _agreement(counts: list[int], votes: int) -> float:
    if votes < LEAST_VOTES:
        return float(votes)
    entropy = -sum(count / votes * math.log(count / votes) for count in counts)
    return max(0.0, 1.0 - entropy / math.log(votes))
