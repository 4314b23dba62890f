"""``fink catalogs``: which reference catalogues there are, building them ahead of time, checking them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.science.catalogs import CatalogSource


def register(app: typer.Typer) -> None:
    """Add the group ``catalogs`` to the command line."""
    group = typer.Typer(help="Reference catalogues: list, build, check.", no_args_is_help=True)
    group.command("list")(list_catalogs)
    group.command("build")(build_catalogs)
    group.command("check")(check_catalogs)
    app.add_typer(group, name="catalogs")


def list_catalogs(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Show every catalogue: where it comes from, and whether it is built."""
    from fink_lib.config import load_settings
    from fink_lib.science.catalogs import known_sources

    settings = load_settings()
    rows = [describe(source, settings) for source in known_sources(settings)]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        if row["state"] == "built":
            size = f"{row['rows']} sources, {row['coverage']}, {row['provenance']}"
        else:
            size = row["detail"]
        typer.echo(f"{row['name']:8} {row['state']:8} {row['origin']}: {size}")


def build_catalogs(
    names: Annotated[list[str] | None, typer.Argument(help="Catalogues; all if none is given.")] = None,
) -> None:
    """Build catalogues, so that the first batch of a stream need not wait for it."""
    from fink_lib.config import load_settings
    from fink_lib.science.catalogs import open_catalog

    settings = load_settings()
    for source in chosen(names, settings):
        typer.echo(f"{source.name}: building from {source.origin}")
        catalog = open_catalog(source, settings.catalog_dir)
        if catalog is None:
            typer.echo(f"{source.name}: no file, alerts will have status unavailable")
        else:
            typer.echo(f"{source.name}: {len(catalog)} sources, {catalog.dropped} without a position")


def check_catalogs(
    names: Annotated[list[str] | None, typer.Argument(help="Catalogues; all if none is given.")] = None,
) -> None:
    """Compare the files of built catalogues with their digests; fails if one differs."""
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
            broken.append(catalog.folder)
    if broken:
        folders = ", ".join(str(folder) for folder in broken)
        raise ConfigError(f"damaged catalogues; remove {folders} and run: fink catalogs build")


def chosen(names: list[str] | None, settings: Settings) -> list[CatalogSource]:
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

    row: dict[str, Any] = {"name": source.name, "origin": source.origin}
    if source.signature() is None:
        return row | {"state": "absent", "detail": "no file: alerts have status unavailable"}
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
        "sha256": catalog.sha256,
        "provenance": catalog.provenance,
        "coverage": sky,
        "folder": str(folder),
    }
