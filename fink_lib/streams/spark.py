"""The Spark session of one driver process."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from fink_lib.runtime.artifacts import spark_class_path

if TYPE_CHECKING:
    from fink_lib.config import Settings


# A JVM crash in vectorised array copies was seen with AVX-512 on OpenJDK 17; AVX2 costs nothing here.
# On processors that do not know the flag the JVM would refuse to start.
JVM_OPTIONS = "-XX:+IgnoreUnrecognizedVMOptions -XX:UseAVX=2 -Djava.net.preferIPv4Stack=true"


def build_session(settings: Settings, app_name: str) -> SparkSession:
    """Start (or get) the session of this process.

    Parameters
    ----------
    settings : Settings
        Master, memory and extra Spark settings come from ``settings.spark``.
    app_name : str
        Shown in Spark's own pages and logs.

    Returns
    -------
    pyspark.sql.SparkSession
    """
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    scratch = settings.home / "scratch" / "spark"
    scratch.mkdir(parents=True, exist_ok=True)
    options = {
        "spark.master": settings.spark.master,
        "spark.driver.memory": settings.spark.driver_memory,
        "spark.driver.extraClassPath": spark_class_path(),
        "spark.driver.extraJavaOptions": JVM_OPTIONS,
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.shuffle.partitions": str(settings.spark.shuffle_partitions),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(settings.streams.arrow_rows),
        "spark.sql.streaming.minBatchesToRetain": "50",
        "spark.sql.streaming.metricsEnabled": "false",
        "spark.local.dir": str(scratch),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **settings.spark.extra,
    }
    if settings.spark.master.startswith("local"):
        options |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    builder = SparkSession.builder.appName(app_name)
    for key, value in options.items():
        builder = builder.config(key, value)
    session: SparkSession = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")
    return session


def jvm_pid(session: SparkSession) -> int:
    """Process id of the JVM that serves this driver."""
    gateway: Any = session.sparkContext._gateway
    return int(gateway.proc.pid)
