"""The local Kafka broker: one node that is broker and controller (KRaft)."""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import struct
import uuid
from pathlib import Path
from typing import ClassVar

from fink_lib.errors import ConfigError
from fink_lib.runtime.artifacts import class_path
from fink_lib.runtime.files import read_json, write_json
from fink_lib.runtime.services.base import Service
from fink_lib.runtime.services.jvm import jvm_command

_METADATA_KEY = 3
_METADATA_VERSION = 4
_FORMAT_TIMEOUT_S = 60.0
_SASL_PORT = "kafka.sasl_port"
_FOR_USERS = {
    "listener.name.users.sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.users.scram-sha-512.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    # Whoever comes without a name comes by a listener of the broker itself: its own processes, the controller.
    "super.users": "User:ANONYMOUS",
    "allow.everyone.if.no.acl.found": "false",
}
_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.stdout.ref = stdout
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d %p %c{1}: %m%n
logger.coordinator.name = org.apache.kafka.coordinator
logger.coordinator.level = WARN
logger.storage.name = org.apache.kafka.storage
logger.storage.level = WARN
logger.log.name = kafka.log
logger.log.level = WARN
"""


class Kafka(Service):
    """One broker on loopback.

    Its first listener asks nobody who he is. With a second one, for users with a password, rules say who may do what:
    users what they were given (:mod:`fink_lib.streams.users`), the first listener, which is the broker's own, all.
    """

    name: ClassVar[str] = "kafka"
    group: ClassVar[str] = "kafka"
    stop_grace_s: ClassVar[float] = 20.0

    @property
    def host(self) -> str:
        """Where it listens."""
        return self.settings.kafka.host

    @property
    def url(self) -> str:
        """The bootstrap server."""
        return f"{self.host}:{self.settings.kafka.port}"

    @property
    def data(self) -> Path:
        """The broker's log folder."""
        return self.folder / "data"

    def ports(self) -> dict[str, int]:
        """Listener of clients, of the controller, and of users with a password if there is one."""
        kafka = self.settings.kafka
        ports = {"kafka.port": kafka.port, "kafka.controller_port": kafka.controller_port}
        return {**ports, _SASL_PORT: kafka.sasl_port} if kafka.sasl_port else ports

    def host_of(self, setting: str) -> str:
        """Where one of its ports listens."""
        return (setting == _SASL_PORT and self.settings.kafka.sasl_host) or self.host

    def prepare(self) -> None:
        """Write the configuration; format the storage once, and again if a first start was killed in between.

        Raises
        ------
        ConfigError
            If the data folder holds messages but has lost its identity.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "server.properties").write_text(self.properties())
        (self.folder / "log4j2.properties").write_text(_LOGGING)
        formatted = read_json(self.folder / "formatted.json")
        meta = self.data / "meta.properties"
        if formatted is None:
            self._refuse_unknown_data()
            # Formatting never came to its end, so nothing can be in there: begin anew.
            shutil.rmtree(self.data, ignore_errors=True)
            self._format()
            write_json(self.folder / "formatted.json", {"meta": meta.read_text()})
        elif not self.data.exists():
            raise ConfigError(
                f"Kafka's data folder {self.data} has gone; put it back, or remove {self.folder} to start with an "
                "empty broker (offsets of the streams then no longer fit: reset their checkpoints too)"
            )
        elif "cluster.id" not in _text(meta):
            meta.write_text(formatted["meta"])

    def command(self) -> list[str]:
        """The broker's JVM."""
        return self._java("kafka.Kafka", str(self.folder / "server.properties"), heap=self.settings.kafka.heap)

    def ready(self, started_s: float) -> bool:
        """Whether the cluster counts its broker as there: answered by a Metadata request."""
        try:
            return count_brokers(self.host, self.settings.kafka.port) > 0
        except (OSError, struct.error):
            return False

    def properties(self) -> str:
        """The broker's configuration."""
        kafka = self.settings.kafka
        clients = {"PLAINTEXT": f"{kafka.host}:{kafka.port}"}
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
        if kafka.users_server:
            clients["USERS"] = kafka.users_server
            protocols["USERS"] = "SASL_PLAINTEXT"
        advertised = [f"{name}://{address}" for name, address in clients.items()]
        values = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{kafka.host}:{kafka.controller_port}",
            "listeners": ",".join([*advertised, f"CONTROLLER://{kafka.host}:{kafka.controller_port}"]),
            "advertised.listeners": ",".join(advertised),
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocols.items()),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self.data,
            "num.partitions": kafka.partitions,
            # A misspelt topic is an error, not a new topic.
            "auto.create.topics.enable": "false",
            "message.max.bytes": kafka.message_max_bytes,
            "replica.fetch.max.bytes": kafka.message_max_bytes,
            "socket.request.max.bytes": 2 * kafka.input_max_bytes,
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 10,
            "offsets.retention.minutes": 14 * 24 * 60,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 10,
            "transaction.max.timeout.ms": 900_000,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # A broker that was killed is let in again only after its old session has run out.
            "broker.session.timeout.ms": 5000,
            "broker.heartbeat.interval.ms": 1000,
            "log.retention.hours": kafka.retention_h,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "background.threads": 2,
            **(_FOR_USERS if kafka.users_server else {}),
        }
        return "".join(f"{name}={value}\n" for name, value in values.items())

    def _refuse_unknown_data(self) -> None:
        topics = [entry.name for entry in self.data.glob("*-[0-9]*") if not entry.name.startswith("__cluster_metadata")]
        if topics:
            raise ConfigError(
                f"{self.data} holds topics ({topics[0]}, …) but {self.folder / 'formatted.json'} has gone; restore "
                f"that file, or move {self.folder} away to start with an empty broker"
            )

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        arguments = ["format", "--cluster-id", cluster, "--config", str(self.folder / "server.properties")]
        self.run_tool(self._java("kafka.tools.StorageTool", *arguments, heap="128m"), _FORMAT_TIMEOUT_S)

    def _java(self, main: str, *arguments: str, heap: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        log_dir = self.log_file.parent
        return jvm_command(class_path("kafka"), heap, main, *arguments, log_dir=log_dir, options=[logging])


def count_brokers(host: str, port: int, timeout_s: float = 3.0) -> int:
    """How many brokers the cluster knows as working, asked in Kafka's own protocol (Metadata, version 4).

    Raises
    ------
    OSError, struct.error
        If nobody answers, or not in this protocol.
    """
    client = b"fink"
    header = struct.pack(f">hhih{len(client)}s", _METADATA_KEY, _METADATA_VERSION, 1, len(client), client)
    request = header + struct.pack(">i?", 0, False)  # no topics, create none
    with contextlib.closing(socket.create_connection((host, port), timeout_s)) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            (length,) = struct.unpack(">i", stream.read(4))
            answer = stream.read(min(length, 1024))
    _correlation, _throttle_ms, brokers = struct.unpack_from(">iii", answer)
    return int(brokers)


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
