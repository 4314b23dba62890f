"""``fink catalogs``: which reference catalogues there are, making, fetching and checking them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.science.catalogs import CatalogSource

Names = Annotated[list[str] | None, typer.Argument(help="Catalogues; all if none is given.")]
Cones = Annotated[
    list[str] | None, typer.Option("--cone", help="Covered sky: ra,dec,radius in degrees. Several are one coverage.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Overwrite the snapshot of a synthetic sky.")]


def register(app: typer.Typer) -> None:
    """Add the group ``catalogs`` to the command line."""
    group = typer.Typer(help="Reference catalogues: list, build, fetch, check.", no_args_is_help=True)
    group.command("list")(list_catalogs)
    group.command("build")(build_catalogs)
    group.command("fetch")(fetch_catalogs)
    group.command("check")(check_catalogs)
    app.add_typer(group, name="catalogs")


def list_catalogs(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Show every catalogue: where it comes from, and whether it is built."""
    from fink_lib.cli.output import show_table
    from fink_lib.config import load_settings
    from fink_lib.science.catalogs import known_sources

    settings = load_settings()
    rows = [describe(source, settings) for source in known_sources(settings)] + describe_tables(settings)
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    shown = ("name", "state", "version", "digest", "rows", "coverage", "origin")
    show_table("", shown, [[row.get(column) for column in shown] for row in rows])


def build_catalogs(
    names: Names = None,
    source: Annotated[
        Path | None, typer.Option(help="Make the snapshot of one catalogue from this FITS, CSV, Parquet or VOTable.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Name of a column in the source: ours=theirs; ra and dec too.")
    ] = None,
    from_labels: Annotated[
        list[Path] | None, typer.Option(help="Make snapshots from the labels of enriched alerts (files, folders).")
    ] = None,
    version: Annotated[str, typer.Option(help="Version of the data; a digest if not given.")] = "",
    cone: Cones = None,
    replace: Replace = False,
) -> None:
    """Make snapshots, and build catalogues, so that the first batch of a stream need not wait for it."""
    from fink_lib.config import load_settings
    from fink_lib.errors import ConfigError
    from fink_lib.science.catalogs.tables import TABLES

    settings = load_settings()
    if source is not None and from_labels:
        raise ConfigError("a snapshot is made from --source or from --from-labels, not from both")
    if source is not None:
        if not names or len(names) != 1:
            raise ConfigError("say which catalogue --source is: fink catalogs build NAME --source FILE")
        build_from_file(names[0], source, parsed_columns(column), version, parsed_cones(cone), replace, settings)
        names = names if names[0] not in TABLES else []
    elif column or version or cone:
        raise ConfigError("--column, --version and --cone belong to --source")
    elif from_labels:
        names = build_from_labels(names, from_labels, replace, settings)
    for one in chosen(names, settings) if names != [] else ():
        build_one(one, settings)


def fetch_catalogs(
    names: Annotated[list[str], typer.Argument(help="Catalogues that a service publishes.")],
    cone: Cones = None,
    replace: Replace = False,
) -> None:
    """Fetch snapshots from SIMBAD, VizieR or the Transient Name Server; needs the network."""
    from fink_lib.cli.output import progress_lines
    from fink_lib.config import load_settings
    from fink_lib.science.catalogs.fetching import fetch

    settings = load_settings()
    chosen(names, settings)
    for name in names:
        with progress_lines(name) as tell:
            path = fetch(name, settings, parsed_cones(cone) or (), replace, tell)
        typer.echo(f"{name}: written to {path}")
    for one in chosen(names, settings):
        build_one(one, settings)


def check_catalogs(names: Names = None) -> None:
    """Compare the files of catalogues with their digests; fails if one differs."""
    from fink_lib.config import load_settings
    from fink_lib.errors import ConfigError
    from fink_lib.science.catalogs import damaged_files, open_catalog

    settings = load_settings()
    broken = []
    for source in chosen(names, settings):
        catalog = open_catalog(source, settings.catalog_dir)
        if catalog is None:
            typer.echo(f"{source.name}: no file")
            continue
        damage = damaged_files(catalog)
        typer.echo(f"{source.name}: {'damaged: ' + ', '.join(damage) if damage else 'intact'}")
        if damage:
            broken.append(f"remove {catalog.folder} and run: fink catalogs build")
        if published := source.damaged():
            typer.echo(f"{source.name}: not as published: {', '.join(published)}")
            broken.append(f"install the package of {source.origin} again")
    if broken:
        raise ConfigError("damaged catalogues; " + "; ".join(broken))


def build_one(source: CatalogSource, settings: Settings) -> None:
    """Build one catalogue, and say so."""
    from fink_lib.science.catalogs import open_catalog

    typer.echo(f"{source.name}: building from {source.origin}")
    catalog = open_catalog(source, settings.catalog_dir)
    if catalog is None:
        typer.echo(f"{source.name}: no file, alerts will have status unavailable")
    else:
        typer.echo(f"{source.name}: {len(catalog)} sources, {catalog.dropped} without a position")


def build_from_file(
    name: str,
    file: Path,
    columns: dict[str, str],
    version: str,
    cones: Sequence[tuple[float, float, float]] | None,
    replace: bool,
    settings: Settings,
) -> None:
    """Make one snapshot, or one table of objects without positions, from a file."""
    from fink_lib.science.catalogs.snapshots import snapshot_from_file
    from fink_lib.science.catalogs.tables import TABLES, table_from_file

    if name in TABLES:
        path = table_from_file(name, file, settings.catalog_dir, version)
    else:
        path = snapshot_from_file(name, file, settings.catalog_dir, columns, version, cones, replace)
    typer.echo(f"{name}: {path} made from {file}")


def build_from_labels(names: list[str] | None, paths: list[Path], replace: bool, settings: Settings) -> list[str]:
    """Make snapshots from labelled alerts; give the names of those made.

    Without names, a catalogue for which no alert has a label is left out.
    """
    from fink_lib.errors import ConfigError
    from fink_lib.science.catalogs.labels import DEFAULT, labelled, read_alerts
    from fink_lib.science.catalogs.snapshots import write_snapshot

    alerts = read_alerts(paths)
    origin = f"labels of {len(alerts)} alerts"
    made = []
    for name in names or DEFAULT:
        try:
            found = labelled(name, alerts)
        except ConfigError as error:
            if names:
                raise
            typer.echo(f"{name}: {error}")
            continue
        write_snapshot(name, found.table, settings.catalog_dir, origin, "", found.coverage, replace, edition="labels")
        unanswered = f", {found.unanswered} left out that got no answer" if found.unanswered else ""
        typer.echo(f"{name}: {found.table.num_rows} sources at {len(found.coverage)} positions{unanswered}")
        made.append(name)
    if not made:
        raise ConfigError(f"none of the {len(alerts)} alerts there has a label of a catalogue")
    return made


def parsed_columns(texts: Sequence[str] | None) -> dict[str, str]:
    """Read ``ours=theirs``.

    Raises
    ------
    ConfigError
        If it is written otherwise.
    """
    from fink_lib.errors import ConfigError

    parts = [text.partition("=") for text in texts or ()]
    if not all(ours and theirs for ours, _, theirs in parts):
        raise ConfigError("--column takes ours=theirs, for instance --column ra=RAJ2000")
    return {ours: theirs for ours, _, theirs in parts}


def parsed_cones(texts: Sequence[str] | None) -> list[tuple[float, float, float]] | None:
    """Read ``ra,dec,radius``; nothing means all sky.

    Raises
    ------
    ConfigError
        If it is written otherwise.
    """
    from fink_lib.errors import ConfigError

    cones = []
    for text in texts or ():
        try:
            ra, dec, radius = (float(part) for part in text.split(","))
        except ValueError as error:
            raise ConfigError(f"--cone takes ra,dec,radius in degrees, not {text!r}") from error
        cones.append((ra, dec, radius))
    return cones or None


def chosen(names: Sequence[str] | None, settings: Settings) -> list[CatalogSource]:
    """Give the sources with some names, or all.

    Raises
    ------
    ConfigError
        If a name is unknown.
    """
    from fink_lib.errors import ConfigError
    from fink_lib.science.catalogs import known_sources

    by_name = {source.name: source for source in known_sources(settings)}
    unknown = sorted(set(names or ()) - set(by_name))
    if unknown:
        raise ConfigError(f"no catalogue is called {', '.join(unknown)}; there are: {', '.join(by_name)}")
    return [by_name[name] for name in names or by_name]


def describe(source: CatalogSource, settings: Settings) -> dict[str, Any]:
    """Tell one catalogue's state without building it."""
    from fink_lib.errors import ConfigError
    from fink_lib.science.catalogs import Catalog, built_folder
    from fink_lib.science.catalogs.known import KNOWN

    row: dict[str, Any] = {"name": source.name, "title": KNOWN[source.name].title, "origin": source.origin}
    if source.signature() is None:
        return row | {"state": "absent", "origin": "no file: alerts have status unavailable"}
    folder: Path = built_folder(source, settings.catalog_dir)
    if not folder.exists():
        return row | {"state": "unbuilt", "detail": "built at the first use, or by: fink catalogs build"}
    try:
        catalog = Catalog(folder)
    except ConfigError as error:
        return row | {"state": "damaged", "detail": str(error)}
    sky = "all sky" if catalog.coverage.all_sky else f"{catalog.coverage.area_sq_deg:.4g} square degrees"
    return row | {
        "state": "built",
        "rows": len(catalog),
        "dropped": catalog.dropped,
        "version": catalog.version,
        "digest": catalog.sha256[:16],
        "sha256": catalog.sha256,
        "provenance": catalog.provenance,
        "coverage": sky,
        "folder": str(folder),
    }


def describe_tables(settings: Settings) -> list[dict[str, Any]]:
    """Tell the states of the tables that have no positions."""
    from fink_lib.science.catalogs.tables import TABLES, TableHandle

    rows = []
    for name, known in TABLES.items():
        table = TableHandle(name, settings.catalog_dir).current()
        row: dict[str, Any] = {"name": name, "title": known.title, "origin": f"table {name}.parquet"}
        if table is None:
            rows.append(row | {"state": "absent", "origin": "no file: alerts have status unavailable"})
            continue
        digest = {"version": table.version, "digest": table.sha256[:16], "sha256": table.sha256}
        rows.append(row | {"state": "built", "rows": table.rows.num_rows, "coverage": "by name", **digest})
    return rows
