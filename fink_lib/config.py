"""One frozen tree of settings: defaults, then ``FINK_HOME/fink.toml``, then ``FINK__SECTION__KEY`` variables.

Only the standard library and pydantic are imported here, so that DAG files and the supervisor may read settings.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fink_lib.errors import ConfigError
from fink_lib.sections import (
    AirflowSettings,
    ApiSettings,
    CatalogSettings,
    HBaseSettings,
    KafkaSettings,
    MessengerSettings,
    NightlySettings,
    NotifySettings,
    RetentionSettings,
    Section,
    ServiceSettings,
    SimulatorSettings,
    SparkSettings,
    StreamSettings,
    SupervisionSettings,
    TransferSettings,
)

__all__ = [
    "AirflowSettings",
    "ApiSettings",
    "CatalogSettings",
    "HBaseSettings",
    "KafkaSettings",
    "MessengerSettings",
    "NightlySettings",
    "NotifySettings",
    "RetentionSettings",
    "ServiceSettings",
    "Settings",
    "SimulatorSettings",
    "SparkSettings",
    "StreamSettings",
    "SupervisionSettings",
    "TransferSettings",
    "default_home",
    "load_settings",
    "project_root",
    "write_setting",
]


class Settings(Section):
    """All settings of one installation.

    Attributes
    ----------
    home : Path
        ``FINK_HOME``: everything the installation keeps lives below it.
    lake_uri : str
        Where the Delta tables are; empty means ``<home>/lake``.
    """

    home: Path
    lake_uri: str = ""
    surveys: tuple[str, ...] = ("ztf",)
    kafka: KafkaSettings = KafkaSettings()
    hbase: HBaseSettings = HBaseSettings()
    airflow: AirflowSettings = AirflowSettings()
    api: ApiSettings = ApiSettings()
    spark: SparkSettings = SparkSettings()
    streams: StreamSettings = StreamSettings()
    messengers: MessengerSettings = MessengerSettings()
    supervision: SupervisionSettings = SupervisionSettings()
    nightly: NightlySettings = NightlySettings()
    transfer: TransferSettings = TransferSettings()
    simulator: SimulatorSettings = SimulatorSettings()
    catalogs: CatalogSettings = CatalogSettings()
    services: ServiceSettings = ServiceSettings()
    notify: NotifySettings = NotifySettings()
    retention: RetentionSettings = RetentionSettings()

    @property
    def lake_root(self) -> str:
        """Root of the Delta tables, without a trailing slash."""
        return (self.lake_uri or str(self.home / "lake")).rstrip("/")

    def run_dir(self, survey: str, stage: str) -> Path:
        """Lock, identity and heartbeat of one stage's driver."""
        return self.home / "run" / survey / stage

    def checkpoint_dir(self, survey: str, stage: str) -> Path:
        """All checkpoint generations of one stage."""
        return self.home / "checkpoints" / survey / stage

    def report_dir(self, survey: str, night: str) -> Path:
        """Files that the nightly chain leaves for people."""
        return self.home / "reports" / survey / night

    def service_dir(self, service: str) -> Path:
        """State and configuration of one local service."""
        return self.home / "services" / service

    @property
    def log_dir(self) -> Path:
        """Logs of services, streams and nightly stages."""
        return self.home / "logs"

    @property
    def catalog_dir(self) -> Path:
        """Local catalogues and snapshots."""
        return self.home / "catalogs"

    @property
    def service_cache(self) -> Path:
        """Answers of catalogue services."""
        return self.catalog_dir / "services.sqlite"

    @property
    def model_dir(self) -> Path:
        """Models that this installation trained; each comes before the project's own of the same name."""
        return self.home / "models"


def project_root() -> Path:
    """Folder that holds ``dags/``, ``jobs/``, ``fink_lib/`` and ``sql/``."""
    return Path(__file__).resolve().parent.parent


def default_home() -> Path:
    """``$FINK_HOME``, else ``.fink`` beside the code."""
    return Path(os.environ.get("FINK_HOME") or project_root() / ".fink").resolve()


def load_settings(home: Path | str | None = None) -> Settings:
    """Read the settings of an installation.

    Parameters
    ----------
    home : Path or str, optional
        The installation; ``$FINK_HOME`` or ``./.fink`` if not given.

    Returns
    -------
    Settings

    Raises
    ------
    ConfigError
        If the file or a variable holds a name or a value that the tree does not know.
    """
    root = Path(home).resolve() if home else default_home()
    values: dict[str, Any] = {}
    file = root / "fink.toml"
    if file.exists():
        try:
            values = tomllib.loads(file.read_text())
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{file} is not valid TOML ({error}); correct it or remove it") from error
    for name, text in os.environ.items():
        if name.startswith("FINK__"):
            _set(values, [part.lower() for part in name.split("__")[1:]], _value(text))
    try:
        return Settings(home=root, **values)
    except (ValidationError, TypeError) as error:
        raise ConfigError(f"settings in {file} or in FINK__ variables are wrong: {error}") from error


def write_setting(home: Path, section: str, name: str, value: str) -> None:
    """Set one value in ``fink.toml``; comments and everything else in the file stay as they are.

    Parameters
    ----------
    home : Path
        The installation; the file is made if missing.
    section, name, value : str
        What to set.
    """
    import tomlkit

    file = home / "fink.toml"
    document = tomlkit.parse(file.read_text()) if file.exists() else tomlkit.document()
    table = document.setdefault(section, tomlkit.table())
    table[name] = value
    home.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".toml.new")
    unfinished.write_text(tomlkit.dumps(document))
    unfinished.replace(file)


def _set(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
