"""Fetching catalogues from the services that publish them: SIMBAD and VizieR by TAP, the Transient Name Server by CSV.

The edge of the broker: nothing here runs within a stream. What comes back is counted before it is believed, and a
service that is away, slow or talks nonsense is a :class:`TransientError`, after which the old snapshot is still there.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.config import CatalogSettings, Settings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.science.catalogs.coverage import Cone
from fink_lib.science.catalogs.known import KNOWN
from fink_lib.science.catalogs.reading import POSITION, Column, pick_columns, read_sources
from fink_lib.science.catalogs.snapshots import write_snapshot
from fink_lib.science.catalogs.tap import TapService
from fink_lib.science.columns import one_chunk
from fink_lib.science.simbad_types import simbad_types

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Remote:
    """Where a catalogue is served by TAP.

    Parameters
    ----------
    service : str
        ``simbad`` or ``vizier``.
    table : str
        The table there.
    edition : str
        Version of the data; a digest of the rows is added.
    whole : bool
        Whether the whole sky is small enough to fetch.
    translate : mapping of str to mapping
        Column to the service's word to ours.
    """

    service: str
    table: str
    edition: str
    whole: bool = True
    translate: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


REMOTE: Mapping[str, Remote] = {
    "simbad": Remote(
        "simbad", "basic", "simbad", translate={"main_type": {one.code: one.label for one in simbad_types()}}
    ),
    "gaia": Remote("vizier", "I/355/gaiadr3", "gaia-dr3", whole=False),
    "gaia_class": Remote("vizier", "I/358/vclassre", "gaia-dr3"),
    "vsx": Remote("vizier", "B/vsx/vsx", "vsx"),
    "spicy": Remote("vizier", "J/ApJS/254/33/table1", "kuhn-2021"),
    "stars": Remote(
        "vizier", "V/154/sdss16", "sdss-dr16", whole=False, translate={"kind": {"6": "STAR", "3": "GALAXY"}}
    ),
}
"""By catalogue; the Transient Name Server (``tns``) is apart."""

FETCHED = (*REMOTE, "tns")
"""Catalogues that can be fetched."""


def fetch(
    name: str,
    settings: Settings,
    cones: Sequence[Cone] = (),
    replace: bool = False,
    tell: Tell = lambda line: None,
) -> Path:
    """Fetch a catalogue and write its snapshot.

    Parameters
    ----------
    name : str
        One of :data:`FETCHED`.
    settings : Settings
        The installation, and the addresses of the services.
    cones : sequence of (ra_deg, dec_deg, radius_deg)
        The sky to fetch; all of it if empty.
    replace : bool
        Whether the snapshot of a synthetic sky may be overwritten.
    tell : callable
        Takes a line about what has come.

    Returns
    -------
    Path
        The snapshot.

    Raises
    ------
    ConfigError
        If the catalogue cannot be fetched this way, or the service refuses the query or the credentials.
    TransientError
        If the service is away, too slow, or gives something else than was asked for.
    """
    if name == "tns":
        table, edition, origin = _transients(settings.catalogs)
        return write_snapshot(name, table, settings.catalog_dir, origin, edition, None, replace)
    if name not in REMOTE:
        raise ConfigError(f"{name} cannot be fetched; these can: {', '.join(FETCHED)}. Others: fink catalogs build")
    remote = REMOTE[name]
    if not remote.whole and not cones:
        raise ConfigError(f"{name} is too large to fetch as a whole; say which sky, for instance --cone 150.1,2.2,1.5")
    url = settings.catalogs.simbad_tap if remote.service == "simbad" else settings.catalogs.vizier_tap
    service = TapService(url, settings.catalogs)
    columns = KNOWN[name].columns
    spelled = service.spellings(remote.table, {**POSITION, **columns})
    pieces = []
    for cone in cones or (None,):
        for piece in service.rows(remote.table, spelled, cone, settings.catalogs.rows_per_query):
            pieces.append(_translated(pick_columns(piece, columns, spelled, remote.table), remote))
            tell(f"{name}: {sum(len(one) for one in pieces)} sources")
    table = pa.concat_tables(pieces) if pieces else _empty({**POSITION, **columns})
    table = table.group_by(table.column_names).aggregate([])  # cones may overlap
    return write_snapshot(
        name, table, settings.catalog_dir, f"{remote.table} of {url}", "", cones or None, replace, remote.edition
    )


def _translated(table: pa.Table, remote: Remote) -> pa.Table:
    for column, words in remote.translate.items():
        values = one_chunk(table.column(column))
        ours = pa.array(words.values(), pa.string()).take(pc.index_in(values, pa.array(words.keys(), pa.string())))
        table = table.set_column(table.column_names.index(column), column, pc.coalesce(ours, values))
    return table


def _empty(columns: Mapping[str, Column]) -> pa.Table:
    return pa.schema([(name, column.kind) for name, column in columns.items()]).empty_table()


def _transients(settings: CatalogSettings) -> tuple[pa.Table, str, str]:
    """Give the public objects of the Transient Name Server, their edition and where they come from."""
    key = settings.tns_api_key.get_secret_value()
    if not (key and settings.tns_bot_id and settings.tns_bot_name):
        raise ConfigError(
            "the Transient Name Server wants a bot's credentials: set FINK__CATALOGS__TNS_BOT_ID, "
            "FINK__CATALOGS__TNS_BOT_NAME and FINK__CATALOGS__TNS_API_KEY"
        )
    marker = f'tns_marker{{"tns_id": "{settings.tns_bot_id}", "type": "bot", "name": "{settings.tns_bot_name}"}}'
    try:
        answer = httpx.post(
            settings.tns_url,
            data={"api_key": key},
            headers={"User-Agent": marker},
            timeout=settings.timeout_s,
            follow_redirects=True,
        )
    except httpx.HTTPError as error:
        raise TransientError(f"{settings.tns_url} does not answer: {type(error).__name__}: {error}") from error
    if answer.status_code in (401, 403):
        raise ConfigError(f"{settings.tns_url} refuses the bot's credentials ({answer.status_code})")
    if answer.status_code != 200:
        raise TransientError(f"{settings.tns_url} answers {answer.status_code}")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "objects.csv"
        try:
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                file.write_bytes(archive.read(archive.namelist()[0]))
            table = read_sources(file, KNOWN["tns"].columns)
            with file.open(encoding="utf-8") as text:
                edition = text.readline().strip().strip('"')
        except (zipfile.BadZipFile, IndexError, UnicodeDecodeError, ConfigError) as error:
            raise TransientError(f"{settings.tns_url} does not give a list of objects: {error}") from error
    dated = edition[:4].isdigit()
    return table, f"tns-{edition[:10]}" if dated else "", settings.tns_url
