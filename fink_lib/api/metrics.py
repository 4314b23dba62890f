"""Numbers for Prometheus: of streams, services, nights and their stages, and of the API's own requests."""

from __future__ import annotations

import time
from collections import Counter as Count
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fink_lib.api.health import GOOD, SERVICES
from fink_lib.runtime import control
from fink_lib.runtime.files import read_json

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fink_lib.api.stores import Stores

PATH = "/metrics"
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
COUNTED = ("raw", "science", "rejected", "duplicates", "quarantine", "sent")


class Metrics:
    """The numbers of one application.

    Parameters
    ----------
    stores : Stores
        Where the data are.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    @cached_property
    def registry(self) -> CollectorRegistry:
        """All numbers; those of the installation are read when somebody asks."""
        registry = CollectorRegistry()
        registry.register(Installation(self._stores))
        return registry

    @cached_property
    def _requests(self) -> Counter:
        return Counter(
            "fink_api_requests_total", "Requests answered.", ("path", "method", "status"), registry=self.registry
        )

    @cached_property
    def _seconds(self) -> Histogram:
        return Histogram(
            "fink_api_request_seconds", "Time of an answer.", ("path",), registry=self.registry, buckets=BUCKETS_S
        )

    def count(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count one request.

        Parameters
        ----------
        path : str
            Address as it was declared, with names in place of arguments.
        method : str
            GET, POST.
        status : int
            Of the answer.
        seconds : float
            From the request to the end of the answer.
        """
        self._requests.labels(path, method, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Give everything in Prometheus's text format."""
        return generate_latest(self.registry)


class Installation(Collector):
    """What streams, services and nights say of themselves now.

    Parameters
    ----------
    stores : Stores
        Where the data are.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def describe(self) -> Iterator[Metric]:
        """Give nothing: the names are known when the numbers are read."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read the numbers."""
        yield from self._streams()
        yield from self._services()
        yield from self._nights()

    def _streams(self) -> Iterator[Metric]:
        rows = control.stream_rows(self._stores.settings)
        of = ("survey", "stage")
        numbers = {
            "lag": _gauge("fink_stream_lag", "Kafka records, or files, that the stream has not read.", of),
            "rows_s": _gauge("fink_stream_rows_per_second", "Rows read per second in the last batch.", of),
            "age_s": _gauge("fink_stream_heartbeat_age_seconds", "Age of the last heartbeat.", of),
            "restarts": _gauge("fink_stream_restarts", "Crashes that the crash budget counts now.", of),
            "epoch": _gauge("fink_stream_epoch", "How often the driver was started, ever.", of),
        }
        up = _gauge("fink_stream_up", "1 if the driver does its work, or was drained by somebody.", (*of, "state"))
        for row in rows:
            labels = [row["survey"], row["stage"]]
            up.add_metric([*labels, row["state"]], float(row["state"] in GOOD))
            for name, gauge in numbers.items():
                if row[name] is not None:
                    gauge.add_metric(labels, float(row[name]))
        yield from (up, *numbers.values())

    def _services(self) -> Iterator[Metric]:
        up = _gauge("fink_service_up", "1 if the service answers.", ("service",))
        for name, seen in self._stores.probes.ask(SERVICES).items():
            up.add_metric([name], float(seen["state"] in GOOD))
        yield up

    def _nights(self) -> Iterator[Metric]:
        nights = self._stores.nights()
        states = _gauge("fink_nights", "Nights in each state.", ("state",))
        for state, number in Count(night["state"] for night in nights).items():
            states.add_metric([state], number)
        alerts = _gauge("fink_night_alerts", "Rows of the newest night.", ("night", "table"))
        seconds = _gauge("fink_nightly_stage_seconds", "Time of a stage, newest night that ran it.", ("night", "stage"))
        if nights:
            newest = max(nights, key=lambda night: str(night["night"]))
            for table in COUNTED:
                if newest.get(table) is not None:
                    alerts.add_metric([newest["night"], table], float(newest[table]))
        for stage, (night, took_s) in self._stage_seconds(nights).items():
            seconds.add_metric([night, stage], took_s)
        yield from (states, alerts, seconds)

    def _stage_seconds(self, nights: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, float]]:
        found: dict[str, tuple[str, float]] = {}
        settings, survey = self._stores.settings, self._stores.lake.survey.name
        for night in sorted((str(one["night"]) for one in nights), reverse=True)[:3]:
            for path in sorted((settings.report_dir(survey, night) / "verdicts").glob("*.json")):
                told = read_json(path) or {}
                if "took_s" in told:
                    found.setdefault(path.stem, (night, float(told["took_s"])))
        return found


class CountRequests:
    """A middle layer that counts every request by the address that answered it.

    Parameters
    ----------
    app : callable
        What it is put around.
    metrics : Metrics
        Where it counts.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and count its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun_s, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            # an address that nobody declared is no label: anybody could make millions of them
            path = getattr(scope.get("route"), "path", "unknown")
            self._metrics.count(path, scope["method"], status, time.perf_counter() - begun_s)


def _gauge(name: str, doc: str, labels: tuple[str, ...]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, doc, labels=list(labels))
