"""Fill a lake with the science of synthetic nights, and write recall and purity of all filters into the docs.

``FINK_HOME=… python docs/filter_recall.py NIGHT:SEED:ALERTS…``: the installation should be an empty one of its own. The
alerts are those of ``fink simulate --synthetic``, with the catalogues of their sky; they take the way of the stream
without Kafka and Spark. The truth of each night stays in FINK_HOME, for ``fink filter recall``.
"""

from __future__ import annotations

import sys
from itertools import count, islice
from pathlib import Path

import pyarrow as pa
from filter_yields import BATCH, PAGE, SURVEY, fill, passes

from fink_lib.config import load_settings
from fink_lib.filters import KINDS, load_filters
from fink_lib.filters.recall import Score, of_nights, read_truth, score, take_nights
from fink_lib.lake import open_lake
from fink_lib.science import build_runner
from fink_lib.simulator.rewrite import record_of
from fink_lib.simulator.synthetic import SyntheticNight, write_snapshots
from fink_lib.surveys import get_survey

KINDS_SHOWN = 3


def main(words: list[str]) -> None:
    """Make the nights, evaluate all filters and write the table."""
    settings = load_settings()
    survey = get_survey(SURVEY, settings)
    lake = open_lake(settings, SURVEY)
    lake.ensure()
    truths: list[Path] = []
    skies = [SyntheticNight(int(seed), int(number), night) for night, seed, number in (w.split(":") for w in words)]
    for sky in skies:
        truths.append(settings.home / f"truth_{sky.night}.parquet")
        sky.write_truth(truths[-1])
        write_snapshots(sky, settings.catalog_dir)
    runner = build_runner(survey, settings)
    for sky in skies:
        packets = sky.packets()
        for number in count():
            alerts = [record_of(packet.value) for packet in islice(packets, BATCH)]
            if not alerts:
                break
            fill(lake, runner, [one for one in alerts if passes(one["candidate"])], f"{sky.night}-{number}")
    filters = load_filters(survey, KINDS, home=settings.home)
    nights = [sky.night for sky in skies]
    truth = of_nights(read_truth(truths), nights)
    scores = score(truth, take_nights(lake, nights, filters), filters)
    write(truth, scores)


def write(truth: pa.Table, scores: list[Score]) -> None:
    """Put the table between its marks."""
    rows = [
        f"| `{one.name}` | {', '.join(one.targets) or '–'} | {_found(one)} | {_part(one.recall)} | {_part(one.purity)} "
        f"| {one.taken.alerts} | {_kinds(one)} |"
        for one in scores
    ]
    header = "| filter | meant for | objects found | recall % | purity % | alerts taken | most of them |"
    table = "\n".join([header, "|---|---|---|---|---|---|---|", *rows])
    before, _, rest = PAGE.read_text().partition("<!-- recall -->")
    _, _, after = rest.partition("<!-- recall end -->")
    PAGE.write_text(f"{before}<!-- recall -->\n\n{table}\n\n<!-- recall end -->{after}")
    print(f"{truth.num_rows} alerts injected")


def _found(one: Score) -> str:
    return f"{one.found.objects} of {one.wanted.objects}" if one.targets else "–"


def _part(parts: dict[str, float | None]) -> str:
    told = ["–" if value is None else f"{100 * value:.0f}" for value in (parts["objects"], parts["alerts"])]
    return "–" if told == ["–", "–"] else " / ".join(told)


def _kinds(one: Score) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in list(one.composition.items())[:KINDS_SHOWN]) or "–"


if __name__ == "__main__":
    main(sys.argv[1:])
