"""On-call's night in a real browser: Airflow's pages are opened and pressed as a person does it, by the documentation.

Whatever is pressed, lake, archive and topics stay as they are; what a person decides is in table ``decisions``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from fink_lib.config import Settings, project_root
from fink_lib.lake import open_lake
from fink_lib.nightly.decisions import decisions
from fink_lib.nightly.nights import night_state
from fink_lib.runtime.files import read_json
from tests.airflow_rest import AirflowRest, eventually
from tests.faults.archive import Archive
from tests.faults.evidence import Lake, read_table
from tests.faults.test_long_clicks import everything
from tests.stack_services import installation

CHROMIUM = Path("/usr/bin/chromium")
DAG = "nightly_ztf"
BROKEN = "20260116"
NAME = "nina"
REASON = "every fifth message was broken"
PAGE_MS = 120_000
RUN_S = 600.0
HELD_S = 900.0

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(3000),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there (on Debian: package chromium)"),
]


def fink(*words: str) -> None:
    """Run a command of the broker to its end."""
    command = [sys.executable, "-m", "fink_lib.cli", *words]
    done = subprocess.run(command, cwd=project_root(), capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    """Everything, as `fink demo` leaves it."""
    home = Path(tempfile.mkdtemp(prefix="fink-browser-"))
    with installation(home, "[nightly]\nquiet_s = 2.0\narchive_batch_rows = 50\n") as settings:
        fink("demo", "--count", "300")
        yield settings


@pytest.fixture(scope="module")
def rest(settings: Settings) -> AirflowRest:
    return AirflowRest(settings)


@pytest.fixture(scope="module")
def run_id(rest: AirflowRest) -> str:
    (run,) = [run for run in rest.runs(DAG) if run["dag_run_id"].startswith("demo__")]
    return str(run["dag_run_id"])


@pytest.fixture(scope="module")
def content(settings: Settings) -> dict[str, Any]:
    return everything(settings)


@pytest.fixture(scope="module")
def page(settings: Settings, rest: AirflowRest) -> Iterator[Page]:
    """A browser in which the operator has logged in."""
    passwords = read_json(settings.service_dir("airflow") / "passwords.json") or {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 900}, locale="en-GB")
        page.set_default_timeout(PAGE_MS)
        page.goto(f"{rest.url}/")
        page.locator("input[name=username]").fill("operator")
        page.locator("input[name=password]").fill(str(passwords["operator"]))
        page.locator("button[type=submit]").click()
        expect(page.locator("input[name=password]")).to_have_count(0, timeout=PAGE_MS)
        yield page
        browser.close()


def open_task(page: Page, rest: AirflowRest, run: str, task: str) -> None:
    """Open the page of a task in a run."""
    page.goto(f"{rest.url}/dags/{DAG}/runs/{quote(run)}/tasks/{task}")
    expect(page.get_by_label("Press shift+c to clear")).to_be_visible(timeout=PAGE_MS)


def confirm(page: Page) -> None:
    """Press *Confirm* in the dialogue, once it has counted the tasks, and wait until it is gone."""
    dialogue = page.get_by_role("dialog")
    expect(dialogue.get_by_text("Affected Tasks: ")).to_be_visible(timeout=PAGE_MS)
    button = dialogue.get_by_role("button", name="Confirm")
    expect(button).to_be_enabled(timeout=PAGE_MS)
    button.click()
    expect(dialogue).to_have_count(0, timeout=PAGE_MS)


def clear(page: Page) -> None:
    """Press *Clear* on the page of a task."""
    page.get_by_label("Press shift+c to clear").click()
    confirm(page)


def mark_failed(page: Page) -> None:
    """Choose *Failed* on the page of a task."""
    page.get_by_label("Mark Task Instance as...").click()
    page.get_by_role("menuitem").filter(has_text="Failed").first.click()
    confirm(page)


def await_success(rest: AirflowRest, run: str, task: str, before: int) -> None:
    """Wait until a task has been tried again and its run ended well."""
    eventually("it is tried again", lambda: rest.tasks(DAG, run)[task]["try_number"] > before, RUN_S)
    eventually("the run ends", lambda: rest.run_state(DAG, run) in ("success", "failed"), RUN_S)
    states = {name: found["state"] for name, found in rest.tasks(DAG, run).items()}
    assert rest.run_state(DAG, run) == "success", states


def test_the_control_room_shows_streams_nights_and_services_at_a_glance(page: Page, rest: AirflowRest) -> None:
    page.goto(f"{rest.url}/")
    page.get_by_role("link", name="Control room").first.click()
    inside = page.frame_locator("iframe")
    expect(inside.get_by_text("stream2raw (ztf)").first).to_be_visible(timeout=PAGE_MS)
    expect(inside.get_by_text("airflow-scheduler").first).to_be_visible()
    night = inside.locator(".day.good").first
    expect(night).to_contain_text("archived")
    free = inside.locator(".day:not(.good):not(.bad):not(.going):not(.odd)").first
    colours = {one.evaluate("cell => getComputedStyle(cell).backgroundColor") for one in (night, free)}
    assert len(colours) == 2, "an archived night looks like a day without one"


@pytest.mark.parametrize("task", ["select", "summarise"])
def test_clear_on_a_task_of_a_finished_night_changes_nothing(
    page: Page, rest: AirflowRest, settings: Settings, run_id: str, content: dict[str, Any], task: str
) -> None:
    before = rest.tasks(DAG, run_id)[task]["try_number"]
    open_task(page, rest, run_id, task)
    clear(page)
    await_success(rest, run_id, task, before)
    assert everything(settings) == content


def test_a_task_marked_failed_is_red_until_it_is_cleared_and_nothing_changes(
    page: Page, rest: AirflowRest, settings: Settings, run_id: str, content: dict[str, Any]
) -> None:
    before = rest.tasks(DAG, run_id)["summarise"]["try_number"]
    open_task(page, rest, run_id, "summarise")
    mark_failed(page)
    eventually("it is failed", lambda: rest.tasks(DAG, run_id)["summarise"]["state"] == "failed")
    expect(page.get_by_text("Failed").first).to_be_visible(timeout=PAGE_MS)
    assert everything(settings) == content
    clear(page)
    await_success(rest, run_id, "summarise", before)
    assert everything(settings) == content


def is_paused(rest: AirflowRest, wanted: bool) -> bool:
    return rest.paused(DAG) is wanted


def test_pause_and_unpause(page: Page, rest: AirflowRest, settings: Settings, content: dict[str, Any]) -> None:
    page.goto(f"{rest.url}/dags/{DAG}")
    switch = page.get_by_test_id("toggle-pause").first
    for paused in (True, False):
        expect(switch).to_be_visible(timeout=PAGE_MS)
        switch.click()
        question = page.get_by_role("dialog").get_by_role("button", name="Confirm")
        if question.count():  # an installation may ask once more
            question.click()
        eventually(f"paused is {paused}", partial(is_paused, rest, paused))
    assert everything(settings) == content


@pytest.fixture(scope="module")
def held(settings: Settings, rest: AirflowRest, content: dict[str, Any]) -> str:
    """Give the run of a second night, of which every fifth message was broken, once it waits for a person."""
    words = ("--synthetic", "1100", "--seed", "2", "--night", BROKEN, "--clock", "max", "--fault", "truncated:0.2")
    fink("simulate", *words)
    run = rest.trigger(DAG, {"night": BROKEN})

    def waits() -> bool:
        return bool(rest.tasks(DAG, run).get("decide_night", {}).get("state") == "awaiting_input")

    eventually("it waits for a person", waits, HELD_S)
    return run


def test_a_held_night_is_answered_in_required_actions_and_only_then_given_up(
    page: Page, rest: AirflowRest, settings: Settings, held: str, content: dict[str, Any]
) -> None:
    lake = open_lake(settings, "ztf")
    present = night_state(lake, BROKEN)
    assert present is not None and present.state == "held" and "raw.quarantined_share" in present.reason
    page.goto(f"{rest.url}/dags/{DAG}/runs/{quote(held)}/tasks/validate/details")
    page.get_by_role("link", name="Report").first.click()
    expect(page.get_by_text("raw.quarantined_share").first).to_be_visible(timeout=PAGE_MS)

    answer_in_page(page, rest, held, "Abandon")
    eventually("it is carried out", lambda: decisions(lake, BROKEN), RUN_S)
    eventually("nothing follows", lambda: rest.tasks(DAG, held)["publish"]["state"] == "skipped", RUN_S)
    (one,) = decisions(lake, BROKEN)
    assert (one.decision, one.by, one.reason) == ("abandon", NAME, REASON)
    present = night_state(lake, BROKEN)
    assert present is not None and present.state == "abandoned"
    hbase = settings.hbase
    rows = Archive.read(hbase.thrift_host, hbase.thrift_port, "ztf", hbase.table_prefix).rows
    whole = Lake.read(settings.lake_root)
    given_up = {row["candid"] for row in whole.science if row["night"] == BROKEN}
    assert given_up
    assert len(rows) == len(content["archive"]), "rows of a night that was given up are in the archive"
    assert BROKEN not in {row["night"] for row in read_table(settings.lake_root, "night_summary")}
    assert not [row for row in whole.sent if row["night"] == BROKEN and str(row["batch"]).startswith("select-")]


def answer_in_page(page: Page, rest: AirflowRest, run: str, answer: str) -> None:
    """Choose an answer in *Required actions*, with a reason, as the operator."""
    page.goto(f"{rest.url}/dags/{DAG}/runs/{quote(run)}/tasks/decide_night/required_actions")
    expect(page.get_by_text(f"Night {BROKEN} of ztf is held").first).to_be_visible(timeout=PAGE_MS)
    page.locator("[name=element_reason]").fill(REASON)
    page.locator("[name=element_name]").fill(NAME)
    page.get_by_role("button", name=answer, exact=True).click()
