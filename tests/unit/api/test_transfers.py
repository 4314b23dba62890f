"""Transfers over the API: weighed, asked for, followed, cancelled; by whom."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fink_lib.config import Settings, load_settings
from fink_lib.lake import open_lake
from fink_lib.runtime.files import write_json
from fink_lib.transfer.job import JobStore, Selection
from fink_lib.transfer.submit import submit
from tests.unit.api.community import header
from tests.unit.api.conftest import serving, write_settings
from tests.unit.transfer.nights import ALERTS, FIRST, NIGHTS, add_nights

TRANSFERS = "/api/v1/transfers"
ASKED = {"nights": NIGHTS, "content": "light"}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Settings:
    settings = write_settings(tmp_path_factory.mktemp("transfers"))
    lake = open_lake(settings, "ztf")
    lake.ensure()
    add_nights(lake)
    return settings


@pytest.fixture(scope="module")
def client(home):
    with serving(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def ann(home):
    return header(home, "ann")


class StandIn(BaseHTTPRequestHandler):
    """What Airflow answers to the three calls that start a run."""

    calls: list[tuple[str, str, dict]] = []
    refuses = False

    def do_GET(self) -> None:
        self.calls.append(("GET", self.path, {}))
        self._say(200, {"dag_id": "ops_transfer"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.calls.append(("POST", self.path, body))
        if self.path == "/auth/token":
            self._say(201, {"access_token": "t"})
        elif self.refuses:
            self._say(500, {})
        else:
            self._say(200, {"dag_run_id": body["dag_run_id"]})

    def _say(self, code: int, body: dict) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def airflow(home) -> Iterator[type[StandIn]]:
    """Listen where the installation expects Airflow."""
    StandIn.calls, StandIn.refuses = [], False
    server = ThreadingHTTPServer(("127.0.0.1", load_settings(home.home).airflow.port), StandIn)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    passwords = home.service_dir("airflow") / "passwords.json"
    write_json(passwords, {"operator": "x"})
    yield StandIn
    server.shutdown()
    server.server_close()
    thread.join()
    passwords.unlink()


def test_a_selection_is_weighed_before_it_is_asked_for(client, home, ann):
    told = client.post(TRANSFERS, json={**ASKED, "dry_run": True}, headers=ann)
    assert told.status_code == 202
    assert (told.json()["expected"], told.json()["nights"]) == (2 * ALERTS, 2)
    assert told.json()["size_bytes"] > 0
    less = client.post(
        TRANSFERS,
        json={"nights": FIRST, "conditions": "roid = 1; candidate.magpsf > 0", "dry_run": "true"},
        headers=ann,
    )
    assert 0 < less.json()["expected"] < ALERTS
    assert JobStore(home.home).list() == []


def test_without_airflow_nothing_is_kept(client, home, ann):
    answer = client.post(TRANSFERS, json=ASKED, headers=ann)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert JobStore(home.home).list() == []


def test_a_transfer_is_asked_for_followed_and_cancelled(client, home, ann, airflow):
    made = client.post(TRANSFERS, json=ASKED, headers=ann)
    assert made.status_code == 202, made.text
    job = made.json()
    assert (job["state"], job["expected"], job["owner"]) == ("submitted", 2 * ALERTS, "ann")
    assert job["command"] == f"fink client transfer {job['topic']}"
    assert airflow.calls[-1][2]["conf"] == {"transfer": job["id"]}
    assert client.get(f"{TRANSFERS}/{job['id']}").json() == job
    assert client.get(TRANSFERS).json()[0] == job
    bob = header(home, "bob")
    assert client.post(f"{TRANSFERS}/{job['id']}/cancel", headers=bob).status_code == 403
    assert client.delete(f"{TRANSFERS}/{job['id']}", headers=bob).status_code == 403
    gone = client.post(f"{TRANSFERS}/{job['id']}/cancel", headers=ann).json()
    assert (gone["state"], gone["command"]) == ("cancelled", "")
    assert client.delete(f"{TRANSFERS}/{job['id']}", headers=ann).json()["state"] == "cancelled"


def test_what_airflow_does_not_take_is_cancelled(client, home, ann, airflow):
    airflow.refuses = True
    assert client.post(TRANSFERS, json=ASKED, headers=ann).status_code == 503
    assert JobStore(home.home).list()[0].state == "cancelled"


def test_nobody_asks_for_everything_at_once(client, home, airflow):
    eve = header(home, "eve")
    codes = [client.post(TRANSFERS, json=ASKED, headers=eve).status_code for _ in range(6)]
    assert codes == [202] * 5 + [409]


def test_a_transfer_of_the_operator_is_not_for_users(client, home, ann):
    job = submit(home, Selection("ztf", NIGHTS, columns=("light",)), datetime.now(UTC))
    assert client.get(f"{TRANSFERS}/{job.id}").json()["owner"] == "operator"
    assert client.delete(f"{TRANSFERS}/{job.id}", headers=ann).status_code == 403
    admin = header(home, "root", ["transfer", "admin"])
    assert client.delete(f"{TRANSFERS}/{job.id}", headers=admin).json()["state"] == "cancelled"


@pytest.mark.parametrize(
    "change",
    [{"nights": ""}, {"nights": "2024"}, {"nights": "20300101"}, {"nights": None}, {"filter": "nothing"},
     {"content": "nothing"}, {"conditions": "colour > 1"}, {"conditions": "roid = 1) OR (TRUE"},
     {"conditions": ";".join(["roid = 1"] * 21)}, {"classes": "(X) y"}, {"nights": {"a": 1}},
     {"conditions": "1; DROP TABLE science"}, {"filter": "../../etc/passwd"}],
)  # fmt: skip
def test_a_selection_that_makes_no_sense_is_the_clients_error(client, ann, change):
    body = {name: value for name, value in {**ASKED, "dry_run": True, **change}.items() if value is not None}
    answer = client.post(TRANSFERS, json=body, headers=ann)
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("name", ["nothing", "ftransfer_ztf_2025-11-03_1", "..%2F..%2Fcommunity"])
def test_a_transfer_that_there_is_not_is_404(client, ann, name):
    assert client.get(f"{TRANSFERS}/{name}").status_code == 404
    assert client.delete(f"{TRANSFERS}/{name}", headers=ann).status_code == 404
