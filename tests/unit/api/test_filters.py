"""Filters over the API: written, tried, let into the stream by the same gate as on the command line."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from fink_lib.api.stores import Stores
from fink_lib.cli import run
from fink_lib.community.jobs import LEASE_S, MOST_ATTEMPTS, MOST_WAITING, JobQueue, JobRunner
from fink_lib.community.refusals import RefusedError
from fink_lib.community.store import Store
from fink_lib.errors import EXIT_OK, ConfigError
from fink_lib.filters import load_filters, read_filter
from fink_lib.filters.promotion import live_path
from fink_lib.filters.watch import LiveFilters
from fink_lib.lake import open_lake
from fink_lib.surveys import get_survey
from tests.unit.api.community import header
from tests.unit.api.conftest import serving, write_settings
from tests.unit.filters.conftest import NIGHTS, night_of

FILTERS, BACKTEST = "/api/v1/filters", "/api/v1/filters/backtest"
RANGE = f"{NIGHTS[0]}..{NIGHTS[-1]}"
ZTF = get_survey("ztf")
BODY = {"name": "mine", "predicate": "roid = 2 AND EG", "description": "What I want", "budget": 90}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    settings = write_settings(tmp_path_factory.mktemp("filters"))
    lake = open_lake(settings, "ztf")
    lake.ensure()
    for number, night in enumerate((*NIGHTS, NIGHTS[0])):
        lake.append("science", night_of(lake, night, first_id=1000 * number, number=260))
    return settings


@pytest.fixture(scope="module")
def client(home):
    with serving(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def ann(home):
    return header(home, "ann")


@pytest.fixture(scope="module")
def bob(home):
    return header(home, "bob")


def finished(client, answer):
    assert answer.status_code == 202, answer.text
    job = answer.json()
    deadline = time.monotonic() + 60
    while job["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        job = client.get(f"{BACKTEST}/{job['id']}").json()
    return job


def test_from_a_predicate_to_the_stream(client, home, ann, bob):
    stream = LiveFilters(ZTF, home.home)
    made = client.post(FILTERS, json=BODY, headers=ann)
    assert made.status_code == 201
    assert (made.json()["state"], made.json()["version"], made.json()["topic"]) == ("draft", 1, "fink_mine_ztf")
    assert any("never backtested" in reason for reason in made.json()["objections"])
    assert stream.refresh() is None  # written down is not live
    refused = client.post(f"{FILTERS}/mine/activate", headers=ann)
    assert refused.status_code == 409
    assert "never backtested" in refused.json()["detail"]

    job = finished(client, client.post(BACKTEST, json={"name": "mine", "nights": RANGE}, headers=ann))
    assert job["state"] == "done", job
    assert job["result"]["objections"] == []
    assert client.post(f"{FILTERS}/mine/activate", headers=bob).status_code == 403
    live = client.post(f"{FILTERS}/mine/activate", headers=ann)
    assert (live.status_code, live.json()["state"], live.json()["live_version"]) == (200, "live", "1")
    found = stream.refresh()
    assert found is not None and "mine" in found.names

    # another version is another predicate: it has its own way through the gate, and the old one stays meanwhile
    changed = client.put(f"{FILTERS}/mine", json={**BODY, "predicate": "roid = 2"}, headers=ann).json()
    assert (changed["version"], changed["live_version"], len(changed["versions"])) == (2, "1", 2)
    assert stream.refresh() is None
    assert client.post(f"{FILTERS}/mine/activate", headers=ann).status_code == 409
    finished(client, client.post(BACKTEST, json={"name": "mine", "nights": RANGE}, headers=ann))
    assert client.post(f"{FILTERS}/mine/activate", headers=ann).json()["live_version"] == "2"

    assert client.post(f"{FILTERS}/mine/withdraw", headers=bob).status_code == 403
    assert client.post(f"{FILTERS}/mine/withdraw", headers=ann).json()["state"] == "draft"
    assert client.post(f"{FILTERS}/mine/withdraw", headers=ann).status_code == 409
    assert client.delete(f"{FILTERS}/mine", headers=bob).status_code == 403
    assert client.delete(f"{FILTERS}/mine", headers=ann).json()["state"] == "deleted"
    assert client.get(f"{FILTERS}/mine").status_code == 404
    # the topic keeps what was sent, so the name stays with its owner, and versions go on
    assert client.post(FILTERS, json=BODY, headers=bob).status_code == 409
    assert client.post(FILTERS, json=BODY, headers=ann).json()["version"] == 3
    client.delete(f"{FILTERS}/mine", headers=ann)


def test_a_backtest_says_what_the_stream_would_send(client, home, ann):
    job = finished(client, client.post(BACKTEST, json={"predicate": "roid = 2", "nights": RANGE}, headers=ann))
    result = job["result"]
    lake = open_lake(home, "ztf")
    assert [night["night"] for night in result["nights"]] == list(NIGHTS)
    taken = {night: lake.dataset("science", [night]).to_table(columns=["roid"]).column(0).to_pylist().count(2)
             for night in NIGHTS}  # fmt: skip
    assert {night["night"]: night["taken"] for night in result["nights"]} == taken
    assert result["samples"] and result["overlap"]["sso_fink_candidates"] > 0
    assert set(result["classes"]) >= {"finkclass", "tns"}
    assert result["seconds_per_million_alerts"] > 0


def test_the_file_of_a_version_is_one_for_the_command_line_too(client, home, ann, monkeypatch, capsys):
    client.post(FILTERS, json={**BODY, "name": "typed"}, headers=ann)
    file = home.home / "drafts" / "ztf" / "typed" / "1" / "typed.sql"
    chosen = read_filter(file, ZTF)
    assert (chosen.header["author"], chosen.header["budget"], chosen.version) == ("ann", "90 %", "1")
    monkeypatch.setenv("FINK_HOME", str(home.home))
    assert run(["filter", "check", str(file)]) == EXIT_OK
    assert f"digest {client.get(f'{FILTERS}/typed', headers=ann).json()['digest'][:16]}" in capsys.readouterr().out
    file.unlink()  # as if the process had been killed before it was written
    assert client.get(f"{FILTERS}/typed", headers=ann).status_code == 200
    assert file.exists()


def test_a_private_draft_is_its_owners_alone(client, ann, bob):
    client.post(FILTERS, json={**BODY, "name": "hidden"}, headers=ann)
    client.post(FILTERS, json={**BODY, "name": "shown", "visibility": "public"}, headers=ann)
    for head, names in ((ann, {"hidden", "shown"}), (bob, {"shown"}), ({}, {"shown"})):
        listed = {one["name"] for one in client.get(FILTERS, headers=head).json()}
        assert listed & {"hidden", "shown"} == names
        assert listed >= set(load_filters(ZTF).names)
        assert client.get(f"{FILTERS}/hidden", headers=head).status_code == (200 if "hidden" in names else 404)
        asked = client.post(BACKTEST, json={"name": "hidden", "nights": RANGE}, headers=head)
        assert asked.status_code == (202 if "hidden" in names else 401 if not head else 404)
    assert client.get(FILTERS, headers={"Authorization": "Token nonsense"}).status_code == 401


def test_the_brokers_own_filters_are_told_and_not_changed(client, ann):
    told = client.get(f"{FILTERS}/vra").json()
    assert (told["owner"], told["state"]) == ("broker", "live")
    assert not told["predicate"].startswith("--")
    assert client.post(FILTERS, json={**BODY, "name": "vra"}, headers=ann).status_code == 409
    assert client.put(f"{FILTERS}/vra", json=BODY, headers=ann).status_code == 404
    assert client.delete(f"{FILTERS}/vra", headers=ann).status_code == 404
    assert client.post(f"{FILTERS}/vra/activate", headers=ann).status_code == 404


@pytest.mark.parametrize(
    "predicate",
    ["", " ", "colour > 1", "roid = 2; DROP TABLE alerts", "SELECT 1", "1", "(SELECT count(*) FROM alerts) > 0",
     "roid = 2 -- x\n) OR (TRUE", "read_csv('/etc/passwd') IS NULL", "'" * 30_000, "\ud800", 5, None, ["roid = 2"],
     "EXISTS (SELECT * FROM pragma_database_list)", "x" * 20_001, "(" * 200 + "roid = 2" + ")" * 200],
)  # fmt: skip
def test_a_predicate_that_may_not_run_is_never_kept(client, ann, predicate):
    import json

    answer = client.post(FILTERS, content=json.dumps({**BODY, "name": "bad", "predicate": predicate}), headers=ann)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["arg"] == "predicate"
    assert client.get(f"{FILTERS}/bad", headers=ann).status_code == 404


@pytest.mark.parametrize(
    "change",
    [{"description": "fine\n-- budget: 100 %"}, {"description": "fine\u2028-- kinds: night"},
     {"title": "x\r-- topic: fink_vra_ztf"}, {"contact": "a\x0b-- order: jd"},
     {"predicate": "-- budget: 100 %\n-- kinds: night\nroid = 2"}],
)  # fmt: skip
def test_nothing_gets_into_the_header_by_a_line_break(client, home, ann, change):
    answer = client.post(FILTERS, json={**BODY, "budget": 1, "name": "sly", **change}, headers=ann)
    if answer.status_code == 201:
        version = answer.json()["version"]
        chosen = read_filter(home.home / "drafts" / "ztf" / "sly" / str(version) / "sly.sql", ZTF)
        assert (chosen.header["budget"], chosen.kinds) == ("1 %", ("live",))
        assert chosen.header["topic"] == "fink_sly_ztf"
        assert chosen.selection is None
        client.delete(f"{FILTERS}/sly", headers=ann)
    else:
        assert answer.status_code == 400


@pytest.mark.parametrize("name", ["", "a", "A", "backtest", "../x", "x/y", "a b", "a" * 62, "ümlaut", "x\x00y", "_x"])
def test_names_that_cannot_be_part_of_a_topic_are_refused(client, ann, name):
    assert client.post(FILTERS, json={**BODY, "name": name}, headers=ann).status_code in (400, 409)


@pytest.mark.parametrize(
    "body", [{}, {"nights": RANGE}, {"name": "vra"}, {"name": "vra", "predicate": "roid = 2", "nights": RANGE},
             {"name": "vra", "nights": "2024"}, {"name": "vra", "nights": "20300101"},
             {"predicate": "colour = 1", "nights": RANGE}],
)  # fmt: skip
def test_a_backtest_that_makes_no_sense_is_refused_at_once(client, ann, body):
    assert client.post(BACKTEST, json=body, headers=ann).status_code == 400


def test_a_job_that_there_is_not_is_404(client):
    assert client.get(f"{BACKTEST}/nothing").status_code == 404


# -- the queue ---------------------------------------------------------------------------------------------------------

NOW = datetime(2025, 11, 3, tzinfo=UTC)


@pytest.fixture
def queue(tmp_path):
    store = Store(tmp_path)
    yield JobQueue(store)
    store.close()


def test_a_job_is_done_by_one(queue):
    first = queue.submit("a", "ann", {"n": 1}, NOW)
    second = queue.submit("a", "ann", {"n": 2}, NOW + timedelta(seconds=1))
    assert [queue.claim(NOW).id, queue.claim(NOW).id, queue.claim(NOW)] == [first.id, second.id, None]


def test_a_job_whose_worker_died_is_begun_anew_but_not_for_ever(queue):
    queue.submit("a", "ann", {}, NOW)
    dead = queue.claim(NOW)
    later = NOW
    for attempt in range(2, MOST_ATTEMPTS + 1):
        later += timedelta(seconds=LEASE_S + 1)
        assert queue.claim(later).attempts == attempt
    later += timedelta(seconds=LEASE_S + 1)
    assert queue.claim(later) is None
    assert queue.find(dead.id).state == "failed"
    queue.finish(dead, later, {"too": "late"})
    assert queue.find(dead.id).result is None


def test_a_lease_that_is_renewed_is_kept(queue):
    queue.submit("a", "ann", {}, NOW)
    mine = queue.claim(NOW)
    queue.renew(mine, NOW + timedelta(seconds=LEASE_S))
    assert queue.claim(NOW + timedelta(seconds=1.5 * LEASE_S)) is None


def test_nobody_fills_the_queue(queue):
    for _ in range(MOST_WAITING):
        queue.submit("a", "ann", {}, NOW)
    with pytest.raises(RefusedError):
        queue.submit("a", "ann", {}, NOW)
    queue.submit("a", "bob", {}, NOW)


def test_what_fails_says_why_and_the_next_one_runs(queue):
    def work(asked):
        if asked["n"] == 1:
            raise ConfigError("the lake has no such night")
        if asked["n"] == 2:
            raise ZeroDivisionError
        return {"n": asked["n"]}

    jobs = [queue.submit("a", "ann", {"n": n}, datetime.now(UTC)) for n in (1, 2, 3)]
    runner = JobRunner(queue, {"a": work})
    runner.start()
    deadline = time.monotonic() + 20
    while queue.find(jobs[-1].id).state != "done" and time.monotonic() < deadline:
        time.sleep(0.02)
    runner.stop()
    told = [queue.find(job.id) for job in jobs]
    assert [job.state for job in told] == ["failed", "failed", "done"]
    assert told[0].message == "the lake has no such night"
    assert "ZeroDivision" not in told[1].message
    assert told[2].result == {"n": 3}


def test_a_backtest_that_was_interrupted_is_done_after_a_restart(home):
    """The lease of a dead process has run out; a new process of the API takes the job at its start."""
    store = Store(home.home)
    queue = JobQueue(store)
    text = live_text()
    job = queue.submit("backtest", "ann", {"name": "ad_hoc", "text": text, "nights": RANGE}, datetime.now(UTC))
    claimed = queue.claim(datetime.now(UTC) - timedelta(seconds=2 * LEASE_S))
    assert claimed is not None and claimed.id == job.id
    stores = Stores(home)
    stores.jobs.start()
    deadline = time.monotonic() + 60
    while queue.find(job.id).state == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    stores.close()
    assert (queue.find(job.id).state, queue.find(job.id).attempts) == ("done", 2)
    store.close()


def live_text():
    from fink_lib.community.backtests import ad_hoc

    return ad_hoc("roid = 2", ZTF).text


def test_a_live_filter_of_the_operator_keeps_its_name(client, home, ann):
    path = live_path(home.home, "ztf", "operators")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(live_text().replace("ad_hoc", "operators"))
    assert client.post(FILTERS, json={**BODY, "name": "operators"}, headers=ann).status_code == 409
    assert client.get(f"{FILTERS}/operators").json()["owner"] == "operator"
    path.unlink()
