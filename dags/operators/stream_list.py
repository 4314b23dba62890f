"""The always-on streams that Airflow supervises."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stream:
    """One always-on stage of one survey, and what it does in a sentence; an optional one is paused at first."""

    survey: str
    stage: str
    does: str
    optional: bool = False


STREAMS = (
    Stream("ztf", "stream2raw", "It reads the survey's Kafka topics and writes each alert to the lake (`raw`)."),
    Stream("ztf", "raw2science", "It cuts, removes duplicates and adds science values (`raw` → `science`)."),
    Stream(
        "ztf", "distribution", "It runs the filters and sends what passes to the users' topics (`science` → Kafka)."
    ),
    Stream(
        "ztf",
        "multimessenger",
        "It joins notices of gamma-ray bursts and gravitational waves with alerts. Unpause it where notices arrive.",
        optional=True,
    ),
)
