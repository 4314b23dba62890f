"""One frozen tree of settings: defaults, then ``FINK_HOME/fink.toml``, then ``FINK__SECTION__KEY`` variables.

Only the standard library and pydantic are imported here, so that DAG files and the supervisor may read settings.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from fink_lib.errors import ConfigError


class Section(BaseModel):
    """A frozen group of settings that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Section):
    """Where the brokers are, and how the local one is run.

    Attributes
    ----------
    sasl_port : int
        Port of a second listener, for users with a password who see output topics only; 0 for none.
    sasl_host : str
        Where it listens, under the name that users know; `host` if empty.
    """

    bootstrap_servers: str = ""
    host: str = "127.0.0.1"
    port: int = 29092
    controller_port: int = 29093
    sasl_port: int = Field(default=0, ge=0, le=65535)
    sasl_host: str = ""
    heap: str = "768m"
    partitions: int = 10
    retention_h: int = 24 * 7
    message_max_bytes: int = 10 * 1024 * 1024
    input_max_bytes: int = 64 * 1024 * 1024
    oversize_bytes: int = 8 * 1024 * 1024

    @property
    def servers(self) -> str:
        """The bootstrap list: the one configured, else the local broker."""
        return self.bootstrap_servers or f"{self.host}:{self.port}"

    @property
    def users_server(self) -> str:
        """Where users with a password connect; empty if nothing listens for them."""
        return f"{self.sasl_host or self.host}:{self.sasl_port}" if self.sasl_port else ""


class HBaseSettings(Section):
    """Where the Thrift servers are, and how the local standalone HBase is run."""

    thrift_host: str = "127.0.0.1"
    thrift_port: int = 29090
    thrift_info_port: int = 29095
    zookeeper_port: int = 22181
    master_port: int = 26000
    master_info_port: int = 26010
    regionserver_port: int = 26020
    regionserver_info_port: int = 26030
    heap: str = "768m"
    thrift_heap: str = "256m"
    table_prefix: str = ""


class AirflowSettings(Section):
    """Airflow's web server and its metadata database."""

    host: str = "127.0.0.1"
    port: int = 28080
    database: str = ""
    parallelism: int = 4


class ApiSettings(Section):
    """The REST API."""

    host: str = "127.0.0.1"
    port: int = 28000


class SparkSettings(Section):
    """One driver of one stage."""

    master: str = "local[2]"
    driver_memory: str = "1g"
    shuffle_partitions: int = 2
    extra: dict[str, str] = {}


class StreamSettings(Section):
    """Admission and pace of the streaming stages."""

    trigger_s: float = 1.0
    max_offsets_per_trigger: int = 4000
    max_files_per_trigger: int = 20
    arrow_rows: int = 500
    write_tasks: int = 2
    substream_prefix: str = "fink"
    transaction_timeout_s: int = 60


class MessengerSettings(Section):
    """Multi-messenger stage: topics of GCN notices, and how often they are joined with alerts.

    Attributes
    ----------
    topics : str
        Pattern of topic names.
    trigger_s : float
        Seconds between two looks.
    """

    topics: str = r"^(gcn\.classic\.voevent\..+|igwn\.gwalert)$"
    trigger_s: float = 10.0


class SupervisionSettings(Section):
    """How a stage's driver is watched and restarted."""

    heartbeat_s: float = 2.0
    stale_s: float = 30.0
    launch_timeout_s: float = 120.0
    stalled_s: float = 600.0
    drain_timeout_s: float = 60.0
    poll_s: float = 2.0
    report_s: float = 30.0
    rotate_h: float = 24.0
    crash_budget: int = 5
    crash_window_s: float = 600.0


class NightlySettings(Section):
    """The nightly chain."""

    quiet_s: float = 1800.0
    close_timeout_s: float = 12 * 3600.0
    archive_workers: int = 2
    archive_batch_rows: int = 500
    heal_nights: int = 7


class TransferSettings(Section):
    """Bulk transfers of past nights.

    Attributes
    ----------
    life_days : int
        How long the topics of a transfer live after it ended; users are promised a week.
    max_gb : float
        Largest transfer to a topic (estimated, gigabytes); the brokers keep all of it until it is deleted.
    piece_rows : int
        Rows that are held at once.
    """

    life_days: int = Field(default=7, ge=7)
    max_gb: float = 50.0
    piece_rows: int = Field(default=500, ge=1)


class SimulatorSettings(Section):
    """Defaults of the alert simulator."""

    synthetic_alerts: int = 5000


class CatalogSettings(Section):
    """Services that catalogues are fetched from; the key of a TNS bot is best given as a variable."""

    vizier_tap: str = "https://tapvizier.cds.unistra.fr/TAPVizieR/tap"
    simbad_tap: str = "https://simbad.cds.unistra.fr/simbad/sim-tap"
    tns_url: str = "https://www.wis-tns.org/system/files/tns_public_objects/tns_public_objects.csv.zip"
    tns_bot_id: str = ""
    tns_bot_name: str = ""
    tns_api_key: SecretStr = SecretStr("")
    timeout_s: float = 120.0
    job_timeout_s: float = 1800.0
    rows_per_query: int = 200_000


class ServiceSettings(Section):
    """Catalogue services that are asked where no local copy looks; their addresses are those of ``catalogs``.

    Attributes
    ----------
    asked : str
        ``never``; ``healing``: only after the night; ``always``: in the stream too.
    timeout_s, slow_s : float
        Longest time of a call; one that takes longer than `slow_s` counts as failed for the breaker.
    batch_s : float
        No call begins later than this after the first one of a batch.
    concurrency, cells_per_call, attempts : int
        Calls at a time, places in a call, tries of a call.
    failures : int
        Calls in a row that fail before the service is left alone.
    pause_s : float
        How long, the first time.
    cache_days : int
        How long answers of a service without editions are good.
    """

    asked: Literal["never", "healing", "always"] = "never"
    timeout_s: float = 5.0
    slow_s: float = 2.0
    batch_s: float = 5.0
    concurrency: int = 2
    cells_per_call: int = 500
    attempts: int = 1
    failures: int = 3
    pause_s: float = 60.0
    cache_days: int = 30

    @property
    def for_healing(self) -> ServiceSettings:
        """The same with more patience: nobody waits for what is computed after the night."""
        if self.asked == "never":
            return self
        patient = {
            "asked": "always",
            "timeout_s": max(self.timeout_s, 60.0),
            "slow_s": max(self.slow_s, 60.0),
            "batch_s": max(self.batch_s, 600.0),
            "attempts": max(self.attempts, 6),
            "failures": max(self.failures, 12),
        }
        return self.model_copy(update=patient)


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


def _set(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
