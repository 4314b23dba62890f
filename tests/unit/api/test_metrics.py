"""Numbers for Prometheus: there while nothing else runs, counted by declared address, and used by the dashboard."""

from __future__ import annotations

import json
import re

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from fink_lib.config import Settings, project_root
from fink_lib.runtime.files import write_json
from tests.unit.api.conftest import NIGHTS

MONITORING = project_root() / "docker" / "monitoring"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(client: httpx.Client) -> Samples:
    """Read all samples with a parser that is not ours."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def of(samples: Samples, name: str, **labels: str) -> float:
    """Find one sample."""
    return samples[name, frozenset(labels.items())]


def test_streams_and_services_that_are_away_are_zeros_and_not_absent(client: httpx.Client) -> None:
    seen = read(client)
    assert of(seen, "fink_stream_up", survey="ztf", stage="raw2science", state="absent") == 0
    assert of(seen, "fink_service_up", service="kafka") == 0
    assert of(seen, "fink_service_up", service="lake") == 1
    assert of(seen, "fink_stream_restarts", survey="ztf", stage="raw2science") == 0


def test_nights_are_counted_by_state_and_the_newest_by_table(client: httpx.Client) -> None:
    seen = read(client)
    assert of(seen, "fink_nights", state="live") == len(NIGHTS)
    assert of(seen, "fink_night_alerts", night=NIGHTS[-1], table="science") == 60


def test_the_time_of_a_nightly_stage_is_told(client: httpx.Client, filled_home: Settings) -> None:
    verdicts = filled_home.report_dir("ztf", NIGHTS[-1]) / "verdicts"
    write_json(verdicts / "compact.json", {"stage": "compact", "ok": True, "took_s": 12.5})
    try:
        assert of(read(client), "fink_nightly_stage_seconds", night=NIGHTS[-1], stage="compact") == 12.5
    finally:
        (verdicts / "compact.json").unlink()


def test_requests_are_counted_by_the_address_that_was_declared(client: httpx.Client) -> None:
    labels = {"path": "/api/v1/nights/{night}/summary", "method": "GET", "status": "200"}
    key = ("fink_api_requests_total", frozenset(labels.items()))
    before = read(client).get(key, 0.0)
    for night in NIGHTS:
        assert client.get(f"/api/v1/nights/{night}/summary").status_code == 200
    client.get("/nobody/declared/this")
    seen = read(client)
    assert seen[key] == before + len(NIGHTS)
    assert not any("nobody" in value for _, pairs in seen for _, value in pairs)
    assert of(seen, "fink_api_request_seconds_count", path=labels["path"]) >= len(NIGHTS)


def test_the_dashboard_shows_numbers_that_there_are(client: httpx.Client) -> None:
    client.get("/health/live")
    known = set(re.findall(r"^# TYPE (fink_\w+)", client.get("/metrics").text, re.MULTILINE))
    known |= {f"{name}_bucket" for name in known}
    panels = json.loads((MONITORING / "fink.json").read_text())["panels"]
    used = {name for panel in panels for name in re.findall(r"\bfink_\w+", panel["targets"][0]["expr"])}
    assert used and used <= known
    (source,) = yaml.safe_load((MONITORING / "datasource.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in panels} == {source["uid"]}


@pytest.mark.parametrize("job", yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"])
def test_prometheus_asks_where_the_api_is(job: dict[str, object]) -> None:
    compose = yaml.safe_load((project_root() / "docker" / "compose.yml").read_text())["services"]
    (place,) = job["static_configs"][0]["targets"]  # type: ignore[index]
    host, port = place.split(":")
    assert compose[host]["hostname"] == "api" and f"{port}:{port}" in compose[host]["ports"]
    assert job["metrics_path"] == "/metrics"
