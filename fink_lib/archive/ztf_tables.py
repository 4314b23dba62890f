"""The tables of ZTF's archive. A new one is one more entry of :func:`ztf_tables`; a new column is one more name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.archive.derived import bad_quality, upper_limits, with_light_status, with_pixel, with_reference
from fink_lib.archive.keys import SALTS, IdPart, JdPart, KeyPart, LowerPart, RowKey, SaltPart, TextPart
from fink_lib.archive.sky import PIXELS
from fink_lib.archive.tables import ArchiveTable, Served, Source, Stored
from fink_lib.lake.tables import PARTITION
from fink_lib.surveys import ztf_columns

MAIN = "ztf"

_TEXT, _FLOAT, _DOUBLE, _INT, _LONG = pa.string(), pa.float32(), pa.float64(), pa.int32(), pa.int64()

_NAME, _JD, _ID = TextPart("i:objectId"), JdPart("i:jd"), IdPart("i:candid")
_OF_CANDID = SaltPart("i:candid")

_OBJECTS = ("ZTF17aab", "ZTF18aab", "ZTF18aaz", "ZTF18abk", "ZTF18acb", "ZTF19aab", "ZTF20aab", "ZTF22aab")
"""Half of all alerts are of objects that were named in the survey's first two years."""
_SALTED = tuple(f"{salt:02d}" for salt in range(1, SALTS))
_EVERYWHERE = tuple(f"{PIXELS * part // 8:06d}" for part in range(1, 8))
_NUMBERS = ("2", "4", "7")


@cache
def ztf_tables(candidate_fields: tuple[str, ...]) -> tuple[ArchiveTable, ...]:
    """Give ZTF's tables, in the order in which they are written.

    Parameters
    ----------
    candidate_fields : tuple of str
        Fields of the packet's ``candidate``.
    """
    full = _full_served(candidate_fields)
    index = _index_served(full)
    pointing = _Pointing(full, index)
    return (
        ArchiveTable(
            name=MAIN,
            survey="ztf",
            group="main",
            doc="An alert with everything that the broker knows of it.",
            key=RowKey((_NAME, _JD, _ID)),
            time="i:jd",
            stored=_full_stored(candidate_fields),
            served=full,
            splits=_OBJECTS,
        ),
        ArchiveTable(
            name="ztf.cutouts",
            survey="ztf",
            group="cutouts",
            doc="Where the lake keeps the images of an alert.",
            key=RowKey((_NAME, _JD, _ID)),
            time="i:jd",
            stored=(*_original("objectId", "candid", "jd"), Stored("d:hdfs_path", ("reference",), _TEXT)),
            served=_same("i:objectId", "i:candid", "i:jd", "d:hdfs_path"),
            reads=(PARTITION, "ingest.batch", "candid"),
            prepare=with_reference,
            splits=_OBJECTS,
        ),
        ArchiveTable(
            name="ztf.pixel128",
            survey="ztf",
            group="index",
            doc="An object at its place on the sky: a cell for each of its alerts, the newest first.",
            key=RowKey((IdPart("v:pixel", 6), IdPart("v:part", 2), JdPart("v:first_jd"), _NAME)),
            time="i:jd",
            stored=_light_stored(),
            served=_light_served(),
            extra=(
                Stored("v:pixel", ("pixel",), _LONG),
                Stored("v:part", ("part",), _LONG),
                Stored("v:first_jd", ("first_jd",), _DOUBLE),
            ),
            reads=("fink_status", "candidate.ra", "candidate.dec", "candidate.jd", "candidate.jdstarthist"),
            prepare=with_pixel,
            stacked=True,
            splits=_EVERYWHERE,
        ),
        pointing.table(
            "ztf.class",
            "An alert under its class.",
            (_OF_CANDID, TextPart("d:finkclass"), _JD, _NAME, _ID),
            selection=_named("finkclass"),
            splits=_SALTED,
        ),
        pointing.table(
            "ztf.ssnamenr",
            "An alert of a known asteroid or comet under its name (`roid` is 3).",
            (TextPart("i:ssnamenr"), _JD, _ID),
            extra=_original("ssnamenr"),
            reads=("roid",),
            selection=(pc.field("roid") == 3)
            & _named("candidate", "ssnamenr")
            & (pc.field("candidate", "ssnamenr") != "null"),
            splits=_NUMBERS,
        ),
        pointing.table(
            "ztf.tracklet",
            "An alert of a trail of the night under the trail's name.",
            (TextPart("d:tracklet"), _NAME, _ID),
            extra=_added("tracklet"),
            selection=_named("tracklet"),
        ),
        pointing.table(
            "ztf.tns",
            "An alert of an object that the Transient Name Server classifies, under that class.",
            (_OF_CANDID, TextPart("d:tns"), _JD, _NAME, _ID),
            extra=_added("tns"),
            selection=_named("tns"),
            splits=_SALTED,
        ),
        _points(
            "ztf.upper", "The upper limits in the history of an alert, if its last entry is one.", upper_limits, _UPPER
        ),
        _points(
            "ztf.uppervalid",
            "The points that fail the quality cuts in the history of an alert, if its last entry is one.",
            bad_quality,
            _UPPER | _BAD_QUALITY,
        ),
        pointing.selected("ztf.anomaly", "An alert with one of the lowest anomaly scores of its night.", "anomaly"),
        pointing.selected("ztf.low_state_blazars", "An alert of a blazar in its low state.", "low_blazar_state"),
        pointing.selected("ztf.high_state_blazars", "An alert of a blazar in its high state.", "high_blazar_state"),
        pointing.selected("ztf.slsn", "An alert of a candidate for a superluminous supernova.", "slsn"),
        _plain(
            "ztf.orb_cand",
            "An orbit of an asteroid candidate.",
            RowKey((TextPart("v:kind"), IdPart("d:ssoCandId"))),
            _ORBIT,
            "nothing",
            extra=(Stored("v:kind", ("kind",), _TEXT),),
        ),
        _plain(
            "ztf.sso_cand",
            "A point of the light curve of an asteroid candidate.",
            RowKey((SaltPart("d:ssoCandId"), JdPart("d:jd"), IdPart("d:ssoCandId"))),
            _CANDIDATE_POINT,
            "nothing",
        ),
        _plain(
            "ztf.sso_resolver",
            "A name or a number of a known asteroid or comet, and its name in ZTF's packets.",
            RowKey((LowerPart("v:sought"), TextPart("i:ssnamenr"))),
            {"i:ssnamenr": _TEXT, "i:name": _TEXT, "i:number": _LONG},
            "catalogue",
            extra=(Stored("v:sought", ("sought",), _TEXT),),
        ),
        _plain(
            "ztf.tns_resolver",
            "An object of the Transient Name Server, under its name and under each name that surveys gave it.",
            RowKey((TextPart("v:by"), LowerPart("v:sought"), LowerPart("d:fullname"))),
            _TNS,
            "catalogue",
            extra=(Stored("v:by", ("by",), _TEXT), Stored("v:sought", ("sought",), _TEXT)),
        ),
        _plain(
            "ztf.metadata",
            "A name and a comment that a user gave to an object.",
            RowKey((TextPart("i:objectId"),)),
            dict.fromkeys(
                ("i:objectId", "d:internal_name", "d:internal_name_encoded", "d:comments", "d:username"), _TEXT
            ),
            "users",
        ),
    )


_UPPER = {"i:jd": _DOUBLE, "i:fid": _INT, "i:diffmaglim": _FLOAT}
_BAD_QUALITY = {
    "i:magpsf": _FLOAT,
    "i:sigmapsf": _FLOAT,
    "i:magnr": _FLOAT,
    "i:sigmagnr": _FLOAT,
    "i:isdiffpos": _TEXT,
    "i:distnr": _FLOAT,
}
_ORBIT = {
    "d:ssoCandId": _LONG,
    **dict.fromkeys(("d:a", "d:e", "d:i", "d:long_node", "d:arg_peric", "d:mean_anomaly"), _DOUBLE),
    **dict.fromkeys(("d:rms_a", "d:rms_e", "d:rms_i"), _DOUBLE),
    **dict.fromkeys(("d:rms_long_node", "d:rms_arg_peric", "d:rms_mean_anomaly"), _DOUBLE),
    "d:chi_reduced": _DOUBLE,
    "d:ref_epoch": _DOUBLE,
    "d:provisional_designation": _TEXT,
}
_CANDIDATE_POINT = {
    "d:ssoCandId": _LONG,
    "d:objectId": _TEXT,
    "d:candid": _LONG,
    "d:jd": _DOUBLE,
    "d:ra": _DOUBLE,
    "d:dec": _DOUBLE,
    "d:magpsf": _FLOAT,
    "d:sigmapsf": _FLOAT,
    "d:fid": _INT,
}
_TNS = {
    "d:fullname": _TEXT,
    "d:ra": _DOUBLE,
    "d:declination": _DOUBLE,
    "d:type": _TEXT,
    "d:redshift": _DOUBLE,
    "d:internalname": _TEXT,
    "d:discoverydate": _TEXT,
}


def _full_stored(candidate_fields: Sequence[str]) -> tuple[Stored, ...]:
    process = {"fink_broker_version": "broker_version", "fink_science_version": "science_version"}
    root = [
        Stored(f"i:{name}", ("process", process[name]) if name in process else (name,))
        for name in ztf_columns.ROOT_COLUMNS
    ]
    candidate = [Stored(f"i:{name}", ("candidate", name)) for name in candidate_fields if name != "candid"]
    # Versions of modules and catalogues are the same all night; the lake keeps them for each alert.
    added = [Stored(f"d:{f.name}", (f.name,)) for f in ztf_columns.FINK_SCHEMA if f.name != "fink_versions"]
    return (*root, *candidate, *added)


def _full_served(candidate_fields: Sequence[str]) -> tuple[Served, ...]:
    flattened = ztf_columns.FLATTENED_COLUMNS | ztf_columns.BLAZAR_COLUMNS
    maps = {source for source, _ in flattened.values()}
    served = []
    for name in ztf_columns.full_columns(list(candidate_fields)):
        leaf = name.partition(":")[2]
        if name.startswith("d:") and leaf in flattened:
            source, key = flattened[leaf]
            served.append(Served(name, f"d:{source}", key))
        else:
            served.append(Served(name, name))
    known = {column.name for column in served}
    served += [
        Served(f"d:{name}", f"d:{source}", key)
        for name, (source, key) in ztf_columns.BLAZAR_COLUMNS.items()
        if f"d:{name}" not in known
    ]
    served.append(Served("d:classification", "d:finkclass"))
    added = [column.name for column in _full_stored(()) if column.name.startswith("d:")]
    served += [Served(name, name) for name in added if name not in known and name.partition(":")[2] not in maps]
    return tuple(served)


def _index_served(full: Sequence[Served]) -> tuple[Served, ...]:
    """Give the columns of an index table: fewer fields of the packet, everything that the broker adds."""
    original = {name for name in ztf_columns.index_columns() if name.startswith("i:")}
    return tuple(served for served in full if served.name in original or served.name.startswith("d:"))


def _light_stored() -> tuple[Stored, ...]:
    added = [name for name in ztf_columns.LIGHT_ADDED_COLUMNS if name != "classification"]
    status = Stored("d:fink_status", ("light_status",), pa.map_(_TEXT, _TEXT))
    return (*_original(*ztf_columns.LIGHT_ORIGINAL_COLUMNS), *_added(*added, "finkclass"), status)


def _light_served() -> tuple[Served, ...]:
    own = [Served(column.name, column.name) for column in _light_stored()]
    return (*own, Served("d:classification", "d:finkclass"))


def _original(*names: str) -> tuple[Stored, ...]:
    roots = ztf_columns.ROOT_COLUMNS
    return tuple(Stored(f"i:{name}", (name,) if name in roots else ("candidate", name)) for name in names)


def _added(*names: str) -> tuple[Stored, ...]:
    return tuple(Stored(f"d:{name}", (name,)) for name in names)


def _same(*names: str) -> tuple[Served, ...]:
    return tuple(Served(name, name) for name in names)


def _named(*path: str) -> pc.Expression:
    """Tell whether there is a text, and not an empty one."""
    return pc.field(*path).is_valid() & (pc.field(*path) != "")


@dataclass(frozen=True)
class _Pointing:
    """Makes tables whose rows are the light columns of an alert and point to its row in the main table."""

    full: tuple[Served, ...]
    index: tuple[Served, ...]

    def table(
        self,
        name: str,
        doc: str,
        key: Sequence[KeyPart],
        selection: pc.Expression | None = None,
        filters: tuple[str, ...] = (),
        extra: tuple[Stored, ...] = (),
        reads: tuple[str, ...] = (),
        splits: tuple[str, ...] = (),
    ) -> ArchiveTable:
        return ArchiveTable(
            name=name,
            survey="ztf",
            group="selected" if filters else "index",
            doc=doc,
            key=RowKey(key),
            time="i:jd",
            stored=_light_stored(),
            served=self.full if filters else self.index,
            extra=extra,
            reads=("fink_status", *reads),
            prepare=with_light_status,
            selection=selection,
            filters=filters,
            main=MAIN,
            splits=splits,
        )

    def selected(self, name: str, doc: str, *filters: str) -> ArchiveTable:
        """Make a table of what filters of the night choose."""
        return self.table(name, doc, (_OF_CANDID, _JD, _NAME, _ID), filters=filters)


def _points(
    name: str, doc: str, prepare: Callable[[pa.Table], pa.Table], fields: dict[str, pa.DataType]
) -> ArchiveTable:
    """Make a table of history points: one row for each alert that brings some, a list for each field."""
    lists = tuple(Stored(column, ("points", column[2:]), pa.list_(kind)) for column, kind in fields.items())
    looked_at = {"magpsf", *(column[2:] for column in fields)} | ({"rb", "nbad"} if prepare is bad_quality else set())
    return ArchiveTable(
        name=name,
        survey="ztf",
        group="limits",
        doc=doc,
        key=RowKey((_NAME, JdPart("v:alert_jd"), IdPart("v:alert_candid"))),
        time="v:alert_jd",
        stored=(*_original("objectId"), *lists),
        served=_same("i:objectId", *fields),
        extra=(Stored("v:alert_jd", ("candidate", "jd")), Stored("v:alert_candid", ("candid",))),
        reads=tuple(f"prv_candidates.{field}" for field in sorted(looked_at)),
        prepare=prepare,
        points=True,
        splits=_OBJECTS,
    )


def _plain(
    name: str,
    doc: str,
    key: RowKey,
    columns: dict[str, pa.DataType],
    source: Source,
    extra: tuple[Stored, ...] = (),
) -> ArchiveTable:
    """Make a table whose rows are given under the names of its columns, not taken from a night."""
    return ArchiveTable(
        name=name,
        survey="ztf",
        group="names" if source == "catalogue" else source,
        doc=doc,
        key=key,
        stored=tuple(Stored(column, (column,), kind) for column, kind in columns.items()),
        served=_same(*columns),
        source=source,
        extra=extra,
    )
