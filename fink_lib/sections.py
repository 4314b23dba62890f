"""The sections of ``fink.toml``, one class each: their names, defaults and meaning."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


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
    """Where the Thrift servers are, and how the local standalone HBase is run.

    Attributes
    ----------
    zookeeper_quorum : str
        Hosts of HBase's ZooKeeper, separated by commas; `thrift_host` if empty. Asked when tables are made.
    pre_split : bool
        Whether tables are made with the regions that they are declared with.
    """

    thrift_host: str = "127.0.0.1"
    thrift_port: int = 29090
    thrift_info_port: int = 29095
    zookeeper_quorum: str = ""
    zookeeper_port: int = 22181
    master_port: int = 26000
    master_info_port: int = 26010
    regionserver_port: int = 26020
    regionserver_info_port: int = 26030
    heap: str = "768m"
    thrift_heap: str = "256m"
    table_prefix: str = ""
    pre_split: bool = True


class AirflowSettings(Section):
    """Airflow's web server and its metadata database.

    Attributes
    ----------
    database : str
        Empty: an SQLite file. ``postgresql``: a PostgreSQL server of this installation, at `database_port`. Else the
        URI of one elsewhere.
    """

    host: str = "127.0.0.1"
    port: int = 28080
    database: str = ""
    database_port: int = 28432
    parallelism: int = 4


class ApiSettings(Section):
    """The REST API.

    Attributes
    ----------
    public_url : str
        Address under which users know it; that of `host` and `port` if empty.
    writes_per_min, address_writes_per_min, guesses_per_min : int
        Requests in a minute with one token, with tokens from one address, and with wrong tokens from one address; 0 for
        any number. Reading without a token is not counted.
    """

    host: str = "127.0.0.1"
    port: int = 28000
    public_url: str = ""
    writes_per_min: int = Field(default=120, ge=0)
    address_writes_per_min: int = Field(default=600, ge=0)
    guesses_per_min: int = Field(default=10, ge=0)


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
    miriade_url: str = "https://ssp.imcce.fr/webservices/miriade/api"
    gracedb_url: str = "https://gracedb.ligo.org/api"
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
        ``never``; ``healing``: only after the night; ``always``: in the stream too. Unless it is ``never``, the API
        asks services that an answer needs.
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


class RetentionSettings(Section):
    """How long is kept what nobody needs any more.

    Attributes
    ----------
    versions_days : int
        Files of the lake that were rewritten; a reader may be behind by a week.
    logs_days : int
        Logs of Airflow's tasks.
    """

    versions_days: int = Field(default=7, ge=7)
    logs_days: int = Field(default=30, ge=1)


class NotifySettings(Section):
    """Whom to tell that something needs a person. The file ``outbox/notifications.jsonl`` always gets it.

    Attributes
    ----------
    webhook_url : str
        Address that takes ``{"text": …}``, as Slack, Mattermost and others do; none if empty.
    email_to : tuple of str
        Addresses; none if empty.
    email_from : str
        Sender's address.
    smtp_host, smtp_port : str, int
        Mail server that takes mail from this machine.
    smtp_user, smtp_password : str
        For a server that wants a login; the connection is then encrypted (STARTTLS).
    quiet_s : float
        A trouble that stays is told again after so long, not before.
    """

    webhook_url: str = ""
    email_to: tuple[str, ...] = ()
    email_from: str = "fink@localhost"
    smtp_host: str = "localhost"
    smtp_port: int = 25
    smtp_user: str = ""
    smtp_password: str = Field(default="", repr=False)
    quiet_s: float = 6 * 3600.0
