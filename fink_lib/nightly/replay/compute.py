"""Computing the shadow of a night from the rows of ``raw``, or taking over its rows of ``science``.

Only rows that the streams have done with take part: a late alert that is still on its way belongs to the streams. What
is done is found by its place in Kafka, so a replay that was killed goes on where it was, and one that is finished takes
up what has come since.
"""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.lake import open_lake
from fink_lib.lake.lake import NewFile
from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.ledger import places
from fink_lib.nightly.replay.shadow import ShadowLake, rows_of, shadow_of
from fink_lib.runtime.failpoints import failpoint
from fink_lib.science import load_modules
from fink_lib.streams.pieces import Piece, pieces_of, read_piece
from fink_lib.streams.raw2science import PIECE_ROWS, enrich, load_night, read_origins
from fink_lib.streams.seen import Ids, Origins, SeenIds
from fink_lib.streams.verdicts import decide, origin_numbers

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

RAW, SCIENCE = "raw", "science"
STARTS = (RAW, SCIENCE)
"""From where a night can be made again."""

PLACE = ("topic", "partition", "offset")
ALONE_ROWS = 4000
"""Up to so many rows are computed in the calling process: a worker takes longer to start."""


@dataclass(frozen=True)
class Job:
    """What a worker has to know.

    Parameters
    ----------
    settings : Settings
        With the pinned catalogues and models, and the address of the live lake.
    survey, night : str
        Which night.
    name : str
        Of the replay.
    start : str
        One of :data:`STARTS`.
    started : datetime
        When the replay began (UTC).
    """

    settings: Settings
    survey: str
    night: str
    name: str
    start: str
    started: datetime


@dataclass(frozen=True)
class Share:
    """The rows of a piece that become science: their places in Kafka (rising numbers), with the batch of each."""

    piece: Piece
    origins: Origins
    batches: Sequence[str]


def compute(shadow: ShadowLake, job: Job, workers: int, progress: Callable[[str], None]) -> int:
    """Do what is left to do; gives the number of rows of ``raw`` that were decided about now.

    Parameters
    ----------
    shadow : ShadowLake
        What is written to.
    job : Job
        From where, and by what.
    workers : int
        How many processes compute a large night.
    progress : callable
        Takes lines for people.
    """
    pieces = pieces_of(_files(shadow, job.start), PIECE_ROWS)
    if job.start == RAW:
        staying, leaving = decisions(shadow, pieces)
    else:
        staying, leaving = _as_they_are(shadow)
    if leaving.num_rows:
        shadow.append("rejected", leaving)
    failpoint(job.settings, job.survey, "replay", "replay_after_rejected")
    _write(shadow, job, list(_shares(shadow, pieces, job.start, staying)), workers, progress)
    return int(staying.num_rows + leaving.num_rows)


def decisions(shadow: ShadowLake, pieces: Sequence[Piece]) -> tuple[pa.Table, pa.Table]:
    """Decide about the rows of ``raw`` that the streams have done with and the shadow has not.

    Of several copies of an alert that one stays which the live night has kept, as long as it passes the cuts.

    Returns
    -------
    tuple of pyarrow.Table
        Rows that become science (``alert_id``, ``night``, place, ``batch``), and rows of ``rejected``. The batch is
        the one in which the stream decided, by which its books know the row.
    """
    night, live = shadow.night, shadow.live
    origins = read_origins(live, pieces)
    numbers = origin_numbers(origins)
    known, batches = _settled(live, night)
    place = placed(known, numbers)
    todo = (place >= 0) & ~np.isin(numbers, places_of(shadow))
    rows = origins.filter(pa.array(todo)).append_column("batch", batches.take(pa.array(place[todo])))
    numbers = numbers[todo]
    made_ids, made_origins = load_night(shadow, night)
    live_ids, live_origins = load_night(live, night)
    passing = pc.is_null(rows.column("cut")).to_numpy()
    kept = passing & np.isin(numbers, live_origins) & ~np.isin(rows.column("alert_id").to_numpy(), made_ids)
    ids = np.concatenate([made_ids, rows.column("alert_id").to_numpy()[kept]])
    seen = SeenIds(_loader(ids, np.concatenate([made_origins, numbers[kept]])))
    verdicts = decide(rows.filter(pa.array(~kept)).drop_columns(["batch"]), seen)
    others = verdicts.rows.append_column("batch", rows.filter(pa.array(~kept)).column("batch"))
    chosen = rows.filter(pa.array(kept)).select(["alert_id", PARTITION, *PLACE, "batch"])
    more = others.filter(pc.is_null(others.column("reason"))).select(chosen.column_names)
    leaving = others.filter(pc.is_valid(others.column("reason")))
    return pa.concat_tables([chosen, more]), leaving.select(shadow.schema("rejected").names)


def _as_they_are(shadow: ShadowLake) -> tuple[pa.Table, pa.Table]:
    """Take over the decisions of the live night that the shadow does not have yet."""
    night, live = shadow.night, shadow.live
    done = places_of(shadow)
    columns = {"alert_id": pc.field(live.survey.id_field), PARTITION: pc.field(PARTITION)}
    columns |= {name: pc.field("ingest", name) for name in PLACE} | {"batch": pc.field("process", "batch")}
    staying = rows_of(live, "science", columns, night)
    leaving = live.read("rejected", [night])
    return tuple(rows.filter(pa.array(~np.isin(origin_numbers(rows), done))) for rows in (staying, leaving))


def _loader(ids: Ids, origins: Origins) -> Callable[[str], tuple[Ids, Origins]]:
    return lambda night: (ids, origins)


def _files(shadow: ShadowLake, table: str) -> dict[str, int]:
    """Give the files of the live night with their numbers of rows."""
    actions = pa.table(shadow.live.table(table).get_add_actions(flatten=True))
    if actions.num_rows == 0:
        return {}
    mine = actions.filter(pc.equal(actions.column(f"partition.{PARTITION}"), shadow.night))
    return dict(zip(mine.column("path").to_pylist(), mine.column("num_records").to_pylist(), strict=True))


def _settled(live: Lake, night: str) -> tuple[Origins, pa.Array]:
    """Give the places of rows of ``raw`` that the streams have done with, rising, and the batch that did each."""
    names = {name: pc.field(name) for name in (*PLACE, "batch")}
    inside = {name: pc.field("ingest", name) for name in PLACE} | {"batch": pc.field("process", "batch")}
    rows = pa.concat_tables([rows_of(live, "science", inside, night), rows_of(live, "rejected", names, night)])
    numbers = origin_numbers(rows)
    order = np.argsort(numbers, kind="stable")
    return numbers[order], rows.column("batch").combine_chunks().take(pa.array(order))


def places_of(shadow: ShadowLake) -> Origins:
    """Give the places in Kafka of all rows that the shadow has."""
    science = places(shadow, "science", [shadow.night]).select(PLACE)
    return origin_numbers(pa.concat_tables([science, shadow.read("rejected", [shadow.night], PLACE)]))


def _shares(shadow: ShadowLake, pieces: Sequence[Piece], table: str, staying: pa.Table) -> Iterator[Share]:
    """Give each piece the rows of it that become science."""
    numbers = origin_numbers(staying)
    order = np.argsort(numbers, kind="stable")
    numbers, batches = numbers[order], staying.column("batch").combine_chunks().take(pa.array(order))
    columns = [f"ingest.{name}" for name in PLACE]
    for piece in pieces:
        mine = np.concatenate(
            [np.zeros(0, np.uint64)]
            + [_origins(rows) for rows in read_piece(shadow.live, table, piece, PIECE_ROWS, columns)]
        )
        here = np.sort(placed(numbers, mine))
        here = here[here >= 0]
        if len(here):
            yield Share(piece, numbers[here], batches.take(pa.array(here)).to_pylist())


def placed(known: Origins, wanted: Origins) -> npt.NDArray[np.int64]:
    """Give the place of each number among rising ones; -1 for those that are not there."""
    if not known.size:
        return np.full(wanted.size, -1, np.int64)
    at = np.minimum(np.searchsorted(known, wanted), known.size - 1)
    return np.where(known[at] == wanted, at, -1)


def _origins(rows: pa.Table) -> Origins:
    ingest = rows.column("ingest").combine_chunks()
    return origin_numbers(pa.table({name: ingest.field(name) for name in PLACE}))


def _write(
    shadow: ShadowLake, job: Job, shares: Sequence[Share], workers: int, progress: Callable[[str], None]
) -> None:
    """Write the rows of all shares, and commit each as soon as it is written."""
    total, done = sum(len(share.origins) for share in shares), 0

    def commit(share: Share, files: list[NewFile]) -> None:
        nonlocal done
        shadow.commit("science", files, f"replay-{uuid.uuid4().hex}", 0)
        failpoint(job.settings, job.survey, "replay", "replay_after_piece")
        done += len(share.origins)
        progress(f"replay: {done} of {total} alerts of night {job.night}")

    if workers < 2 or total <= ALONE_ROWS:
        for share in shares:
            commit(share, make_share(job, share))
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(make_share, job, share): share for share in shares}
        try:
            while waiting:
                for finished in wait(waiting, return_when=FIRST_COMPLETED).done:
                    commit(waiting.pop(finished), finished.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def make_share(job: Job, share: Share) -> list[NewFile]:
    """Write the rows of ``science`` of a share; nobody sees them before they are committed."""
    live = open_lake(job.settings, job.survey)
    shadow = shadow_of(live, job.night, job.name)
    parts = []
    for rows in read_piece(live, job.start, share.piece, PIECE_ROWS):
        numbers = _origins(rows)
        mine = np.flatnonzero(np.isin(numbers, share.origins))
        if len(mine):
            parts.append(rows.take(pa.array(mine)))
    rows = pa.concat_tables(parts).combine_chunks()
    if job.start == RAW:
        at: npt.NDArray[np.int64] = np.searchsorted(share.origins, _origins(rows))
        batches = [share.batches[place] for place in at]
        rows, _ = enrich(shadow, load_modules(job.survey, job.settings), rows, batches, job.started)
    failpoint(job.settings, job.survey, "replay", "replay_in_piece")
    return shadow.write_files("science", rows)
