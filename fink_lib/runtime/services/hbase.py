"""The local HBase: master, region server and ZooKeeper in one JVM, and the Thrift server in front of it.

The settings keep an acknowledged row through a kill -9 of any of them: the raw local file system writes what it is told
to flush, and HBase is made to insist on that (``hbase.unsafe.stream.capability.enforce``).
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import struct
from pathlib import Path
from typing import ClassVar
from xml.sax.saxutils import escape

from fink_lib.errors import ConfigError
from fink_lib.runtime.artifacts import class_path
from fink_lib.runtime.files import read_json, write_json
from fink_lib.runtime.services.base import Service, http_get
from fink_lib.runtime.services.jvm import jvm_command

_OPENED = ("lang", "lang.reflect", "nio", "util", "util.concurrent")
_JAVA_17 = [
    *(word for package in _OPENED for word in ("--add-opens", f"java.base/java.{package}=ALL-UNNAMED")),
    *("--add-opens", "java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens", "java.base/jdk.internal.ref=ALL-UNNAMED"),
    *("--add-exports", "java.base/jdk.internal.misc=ALL-UNNAMED"),
]
_LOGGING = """\
log4j.rootLogger=INFO, file
log4j.appender.file=org.apache.log4j.RollingFileAppender
log4j.appender.file.File={file}
log4j.appender.file.MaxFileSize=20MB
log4j.appender.file.MaxBackupIndex=2
log4j.appender.file.layout=org.apache.log4j.PatternLayout
log4j.appender.file.layout.ConversionPattern=%d %p [%t] %c{{2}}: %m%n
log4j.logger.org.apache.zookeeper=WARN
log4j.logger.org.apache.hadoop.metrics2=WARN
log4j.logger.http.requests=WARN
"""
_THRIFT_VERSION_1 = 0x8001
_CALL, _REPLY = 1, 2


class _HBaseJvm(Service):
    """What the two JVMs share: configuration folder, class path, options."""

    group: ClassVar[str] = "hbase"

    def write_configuration(self) -> Path:
        """Write ``conf/`` and return it. Each JVM has its own, because the logging differs."""
        conf = self.folder / f"conf-{self.name}"
        conf.mkdir(parents=True, exist_ok=True)
        (conf / "hbase-site.xml").write_text(site_xml(self.site()))
        (conf / "log4j.properties").write_text(_LOGGING.format(file=self.log_file))
        return conf

    def site(self) -> dict[str, object]:
        """Contents of ``hbase-site.xml``."""
        hbase = self.settings.hbase
        return {
            "hbase.cluster.distributed": "false",
            "hbase.localcluster.assign.random.ports": "false",
            "hbase.rootdir": (self.folder / "data").as_uri(),
            "hbase.tmp.dir": self.folder / "tmp",
            "hbase.zookeeper.property.dataDir": self.folder / "zookeeper",
            "hbase.zookeeper.quorum": "127.0.0.1",
            "hbase.zookeeper.property.clientPort": hbase.zookeeper_port,
            "hbase.wal.provider": "filesystem",
            "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
            "hbase.unsafe.stream.capability.enforce": "true",
            "hbase.master.hostname": "localhost",
            "hbase.regionserver.hostname": "localhost",
            "hbase.master.ipc.address": "127.0.0.1",
            "hbase.regionserver.ipc.address": "127.0.0.1",
            "hbase.master.port": hbase.master_port,
            "hbase.master.info.port": hbase.master_info_port,
            "hbase.master.info.bindAddress": "127.0.0.1",
            "hbase.regionserver.port": hbase.regionserver_port,
            "hbase.regionserver.info.port": hbase.regionserver_info_port,
            "hbase.regionserver.info.bindAddress": "127.0.0.1",
            "hbase.regionserver.handler.count": 10,
            "hbase.thrift.info.bindAddress": "127.0.0.1",
            # The pause grows up to a hundredfold while the server is away; the default would sleep 10 s and more.
            "hbase.client.pause": 50,
            # Rows of 150 cells go in whole batches; the default of 10 MB per request is meant for single puts.
            "hbase.client.keyvalue.maxsize": 64 * 1024 * 1024,
            "hbase.server.keyvalue.maxsize": 64 * 1024 * 1024,
        }

    def java(self, heap: str, main: str, *arguments: str) -> list[str]:
        """A JVM with HBase on its class path."""
        conf = self.folder / f"conf-{self.name}"
        options = [*_JAVA_17, f"-Dlog4j.configuration={(conf / 'log4j.properties').as_uri()}"]
        log_dir = self.log_file.parent
        return jvm_command(class_path("hbase", conf), heap, main, *arguments, log_dir=log_dir, options=options)


class HBase(_HBaseJvm):
    """Master, region server and ZooKeeper in one JVM."""

    name: ClassVar[str] = "hbase"
    # It flushes first; then its parts may wait long for the ZooKeeper that has gone. The write-ahead log has the rest.
    stop_grace_s: ClassVar[float] = 8.0

    def ports(self) -> dict[str, int]:
        """Ports of master, region server and ZooKeeper."""
        hbase = self.settings.hbase
        return {
            "hbase.zookeeper_port": hbase.zookeeper_port,
            "hbase.master_port": hbase.master_port,
            "hbase.master_info_port": hbase.master_info_port,
            "hbase.regionserver_port": hbase.regionserver_port,
            "hbase.regionserver_info_port": hbase.regionserver_info_port,
        }

    def prepare(self) -> None:
        """Write the configuration; clear what a first start that never came up has left.

        Raises
        ------
        ConfigError
            If there are tables, but the files that make them a database have gone.
        """
        self.write_configuration()
        root, zookeeper = self.folder / "data", self.folder / "zookeeper"
        tables = sorted(entry.name for entry in (root / "data" / "default").glob("*"))
        if read_json(self.folder / "initialised.json") is None:
            if not tables:
                # It has never answered a client, so nothing can be in there: begin anew.
                shutil.rmtree(root, ignore_errors=True)
                shutil.rmtree(zookeeper, ignore_errors=True)
        elif not (root / "hbase.version").is_file() or not (root / "hbase.id").is_file():
            raise ConfigError(
                f"HBase's folder {root} has lost hbase.version or hbase.id ({len(tables)} tables are there); restore "
                f"it from a copy, or remove {self.folder} and archive the nights again from the lake"
            )

    def command(self) -> list[str]:
        """The JVM of master and region server."""
        return self.java(self.settings.hbase.heap, "org.apache.hadoop.hbase.master.HMaster", "start")

    def ready(self, started_s: float) -> bool:
        """Whether the master is active, initialised, and has its region server."""
        bean = "Hadoop:service=HBase,name=Master,sub=Server"
        body = http_get(self.host, self.settings.hbase.master_info_port, f"/jmx?qry={bean}")
        try:
            master = json.loads(body)["beans"][0] if body else {}
        except (ValueError, KeyError, IndexError):
            return False
        return master.get("tag.isActiveMaster") == "true" and int(master.get("numRegionServers", 0)) > 0

    def settled(self) -> None:
        """Note that the database exists from now on."""
        if read_json(self.folder / "initialised.json") is None:
            write_json(self.folder / "initialised.json", {"hbase": True})


class Thrift(_HBaseJvm):
    """The Thrift server that Python clients talk to."""

    name: ClassVar[str] = "thrift"
    needs: ClassVar[tuple[str, ...]] = ("hbase",)

    @property
    def host(self) -> str:
        """Where it listens."""
        return self.settings.hbase.thrift_host

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"{self.host}:{self.settings.hbase.thrift_port}"

    def ports(self) -> dict[str, int]:
        """Ports of the server and of its status page."""
        hbase = self.settings.hbase
        return {"hbase.thrift_port": hbase.thrift_port, "hbase.thrift_info_port": hbase.thrift_info_port}

    def prepare(self) -> None:
        """Write the configuration."""
        self.write_configuration()

    def command(self) -> list[str]:
        """The server's JVM."""
        hbase = self.settings.hbase
        ports = ["-p", str(hbase.thrift_port), "-b", self.host, "--infoport", str(hbase.thrift_info_port)]
        return self.java(hbase.thrift_heap, "org.apache.hadoop.hbase.thrift.ThriftServer", "start", *ports)

    def ready(self, started_s: float) -> bool:
        """Whether it lists the tables, which takes a working master."""
        try:
            return can_list_tables(self.host, self.settings.hbase.thrift_port)
        except (OSError, struct.error):
            return False


def can_list_tables(host: str, port: int, timeout_s: float = 5.0) -> bool:
    """Call ``getTableNames`` in Thrift's binary protocol; return whether the answer is a list and no exception.

    Raises
    ------
    OSError, struct.error
        If nobody answers, or not in this protocol.
    """
    name = b"getTableNames"
    call = struct.pack(f">HHi{len(name)}siB", _THRIFT_VERSION_1, _CALL, len(name), name, 1, 0)
    with contextlib.closing(socket.create_connection((host, port), timeout_s)) as connection:
        connection.sendall(call)
        with connection.makefile("rb") as stream:
            version, kind, length = struct.unpack(">HHi", stream.read(8))
            stream.read(length + 4)
            # The first field of the answer: number 0 is the result, 1 an IOError of HBase.
            _type, field = struct.unpack(">Bh", stream.read(3))
    return bool(version == _THRIFT_VERSION_1 and kind == _REPLY and field == 0)


def site_xml(values: dict[str, object]) -> str:
    """A Hadoop configuration file."""
    rows = [
        f"<property><name>{name}</name><value>{escape(str(value))}</value></property>" for name, value in values.items()
    ]
    return "\n".join(["<configuration>", *rows, "</configuration>", ""])
