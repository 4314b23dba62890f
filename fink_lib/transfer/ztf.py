"""What is particular about transfers of ZTF: the light set, the class columns, the time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.surveys.ztf_columns import LIGHT_ADDED_COLUMNS, LIGHT_ORIGINAL_COLUMNS
from fink_lib.surveys.ztf_packet import CUTOUTS, NO_ANSWER, NO_MATCH

ANSWERED = ("ok", "no_match", "not_applicable")


class ZtfTransfer:
    """The form of :mod:`fink_lib.transfer.content` for ZTF."""

    record = "candidate"
    time = "candidate.jd"
    images = tuple(CUTOUTS)
    # what is called classification in the archive is finkclass, which every transfer has
    light = (*LIGHT_ORIGINAL_COLUMNS, *(name for name in LIGHT_ADDED_COLUMNS if name != "classification"))
    inputs = ("candid", "candidate", "ingest", "process", "fink_status", "finkclass", "tns")
    class_columns = ("finkclass", "tnsclass")
    class_inputs = ("fink_status", "finkclass", "tns")

    def classes(self, science: pa.Table) -> dict[str, pa.ChunkedArray]:
        """Give ``finkclass`` and ``tnsclass``, by which clients sort rows into folders; never null.

        Where a catalogue was not consulted, the word is the one that the packets have always had for that.
        """
        status = pc.map_lookup(science.column("fink_status"), pa.scalar("tns"), "first")
        answered = pc.fill_null(pc.is_in(status, pa.array(ANSWERED)), False)
        return {
            "finkclass": pc.fill_null(science.column("finkclass"), NO_ANSWER),
            "tnsclass": pc.coalesce(science.column("tns"), pc.if_else(answered, NO_MATCH, NO_ANSWER)),
        }
