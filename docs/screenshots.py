"""Take the pictures in ``docs/images`` from a running installation.

Usage, after ``make demo``: ``.venv/bin/python docs/screenshots.py [--home FINK_HOME] [--browser /usr/bin/chromium]``.
The pictures of a held night need one, a night whose every fifth message is broken: ``fink simulate --synthetic 1500
--seed 2 --night 20260116 --clock max --fault truncated:0.2``, then *Trigger* on ``nightly_ztf`` with that night.
It logs in to Airflow as ``viewer``, who may look and not press, and needs a Chromium (on Debian: package ``chromium``).
A page that does not show what its picture is about within the time limit ends the script: no picture of a spinner.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, expect, sync_playwright

from fink_lib.config import Settings, load_settings, project_root
from fink_lib.errors import ConfigError
from fink_lib.lake import open_lake
from fink_lib.nightly.nights import list_states
from fink_lib.runtime.files import read_json

IMAGES = project_root() / "docs" / "images"
WIDTH_PX = 1400
TIMEOUT_MS = 60_000
SETTLED_MS = 2_000
SCROLLS = 40
SCROLL_PX = 90
LOG_TOP_PX = 330
LARGEST_BYTES = 300_000
VIEWER = "viewer"
DATA_DOCS = "data_docs/index.html"
WAITING = ("awaiting_input", "deferred")
# Airflow keeps the widths of its two panels, grid and details, in the browser.
SET_WIDTHS = """percent => localStorage.setItem('react-resizable-panels:grid-ltr', JSON.stringify(
    {'details-panel,main-panel': {expandToSizes: {}, layout: [percent, 100 - percent]}}))"""
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Picture:
    """One page and how to know that it shows what it is about.

    Parameters
    ----------
    name : str
        Of the file, without ``.png``.
    url : str or callable
        Of the page, or what finds it.
    height_px : int
        Height of the window.
    shows : callable
        Waits until the page shows the state of things.
    grid_percent : int
        Share of the page's width that Airflow's grid takes.
    """

    name: str
    url: str | Callable[[], str]
    height_px: int
    shows: Callable[[Page], None]
    grid_percent: int = 20


def shows_text(*texts: str) -> Callable[[Page], None]:
    """Wait for each of some texts."""

    def wait(page: Page) -> None:
        for text in texts:
            expect(page.get_by_text(re.compile(text)).first).to_be_visible(timeout=TIMEOUT_MS)

    return wait


def shows_working_driver(page: Page) -> None:
    """Open the log of the supervisor's task, and turn back to where its driver had alerts to work on."""
    page.locator("a[href*='/runs/'][href*='/tasks/supervise']").last.click(timeout=TIMEOUT_MS)
    lines = page.get_by_text(re.compile(r"rows_s \d"))
    expect(lines.last).to_be_visible(timeout=TIMEOUT_MS)
    busy = page.get_by_text(re.compile(r"rows_s [1-9]")).last
    window = page.viewport_size or {"height": 0}
    page.mouse.move(WIDTH_PX * 0.6, window["height"] * 0.7)
    for _ in range(SCROLLS):
        page.wait_for_timeout(SETTLED_MS)
        place = busy.bounding_box() if busy.count() else None
        if place is not None and LOG_TOP_PX < place["y"] < window["height"]:
            return
        page.mouse.wheel(0, -SCROLL_PX)


def shows_finished_night(page: Page) -> None:
    """Open the newest nightly run that ended well; the grid beside it then ends with that run."""
    dag_url, dag = page.url, page.url.rpartition("/")[2]
    runs = runs_of(page, dag, "success", page.evaluate("location.origin"))
    if not runs:
        raise ConfigError("no night ended well yet; run `make demo` first")
    page.goto(f"{dag_url}/runs/{quote(runs[0])}", timeout=TIMEOUT_MS)
    shows_text("close_night", "publish", "Task Instances")(page)


def runs_of(page: Page, dag: str, state: str, origin: str) -> list[str]:
    """Give the ids of a DAG's runs in a state, the newest first."""
    answer = page.request.get(
        f"{origin}/api/v2/dags/{dag}/dagRuns", params={"state": state, "order_by": "-run_after", "limit": 20}
    )
    return [run["dag_run_id"] for run in answer.json()["dag_runs"]]


def shows_held_night(page: Page) -> None:
    """Open what a person is asked about a night that is held."""
    dag_url, dag, origin = page.url, page.url.rpartition("/")[2], page.evaluate("location.origin")
    for run in runs_of(page, dag, "running", origin):
        task = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances/decide_night"
        if page.request.get(origin + task).json().get("state") in WAITING:
            page.goto(f"{dag_url}/runs/{quote(run)}/tasks/decide_night/required_actions", timeout=TIMEOUT_MS)
            shows_text("is held", "Release", "Abandon")(page)
            return
    raise ConfigError("no night is held; break one first, see the head of this script")


def shows_control_room(page: Page) -> None:
    """Wait until the page within the page has its news."""
    inside = page.frame_locator("iframe")
    expect(inside.get_by_text("raw2science", exact=False).first).to_be_visible(timeout=TIMEOUT_MS)
    expect(inside.get_by_text(re.compile("^as of "))).to_be_attached(timeout=TIMEOUT_MS)


def report(settings: Settings, survey: str, name: str, state: str) -> str:
    """Give the address of a report of the last night in a state.

    Raises
    ------
    ConfigError
        If no such night has one.
    """
    root = settings.report_dir(survey, "x").parent
    states = {night: told.state for night, told in list_states(open_lake(settings, survey)).items()}
    nights = [night for night in sorted(states) if states[night] == state and (root / night / name).exists()]
    if not nights:
        raise ConfigError(f"no {state} night has {name}; see the head of this script")
    return f"http://{settings.airflow.host}:{settings.airflow.port}/fink-reports/{survey}/{nights[-1]}/{name}"


def pictures(settings: Settings, survey: str = "ztf") -> list[Picture]:
    """The pictures of the README."""
    airflow = f"http://{settings.airflow.host}:{settings.airflow.port}"
    api = f"http://{settings.api.host}:{settings.api.port}"
    stream = f"stream_distribution_{survey}"
    return [
        Picture("airflow-dags", f"{airflow}/dags", 960, shows_text(f"nightly_{survey}", stream)),
        Picture("airflow-nightly", f"{airflow}/dags/nightly_{survey}", 700, shows_finished_night, 35),
        Picture("airflow-stream", f"{airflow}/dags/{stream}", 600, shows_working_driver),
        Picture("api", f"{api}/", 900, shows_text("raw2science")),
        Picture("control-room", f"{airflow}/plugin/control-room", 1000, shows_control_room),
        Picture("held-night", f"{airflow}/dags/nightly_{survey}", 900, shows_held_night, 30),
        Picture("data-docs", lambda: report(settings, survey, DATA_DOCS, "held"), 760, shows_text("What failed")),
        Picture(
            "night-report", lambda: report(settings, survey, "summary.html", "archived"), 1200, shows_text("night of")
        ),
    ]


def log_in(page: Page, settings: Settings) -> None:
    """Enter name and password in Airflow's log-in page.

    Raises
    ------
    ConfigError
        If Airflow was never started in this installation.
    """
    passwords = read_json(settings.service_dir("airflow") / "passwords.json") or {}
    if VIEWER not in passwords:
        raise ConfigError("Airflow has no viewer yet; run `fink up` first")
    page.goto(f"http://{settings.airflow.host}:{settings.airflow.port}/", timeout=TIMEOUT_MS)
    page.locator("input[name=username]").fill(VIEWER, timeout=TIMEOUT_MS)
    page.locator("input[name=password]").fill(str(passwords[VIEWER]))
    page.locator("button[type=submit]").click()
    expect(page.locator("input[name=password]")).to_have_count(0, timeout=TIMEOUT_MS)


def take(page: Page, picture: Picture, home: Path) -> Path:
    """Open a page, wait until it shows what it is about, and write its picture; never with a path of this machine.

    Raises
    ------
    AssertionError
        If the page shows a path of the installation, or not what it should.
    ConfigError
        If the file is larger than a repository should carry.
    """
    page.set_viewport_size({"width": WIDTH_PX, "height": picture.height_px})
    page.evaluate(SET_WIDTHS, picture.grid_percent)
    page.goto(picture.url if isinstance(picture.url, str) else picture.url(), timeout=TIMEOUT_MS)
    picture.shows(page)
    page.wait_for_timeout(SETTLED_MS)  # charts draw themselves after their texts
    expect(page.get_by_text(str(home)).first).not_to_be_in_viewport()
    path = IMAGES / f"{picture.name}.png"
    page.screenshot(path=path, animations="disabled")
    if path.stat().st_size > LARGEST_BYTES:
        raise ConfigError(f"{path.name} has {path.stat().st_size} bytes, more than {LARGEST_BYTES}; lower its height")
    return path


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="the installation; $FINK_HOME or ./.fink if not given")
    parser.add_argument("--browser", type=Path, default=Path("/usr/bin/chromium"))
    parser.add_argument("--only", nargs="*", default=[], help="names of pictures; all without")
    arguments = parser.parse_args()
    settings = load_settings(arguments.home)
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.browser, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": WIDTH_PX, "height": 800}, color_scheme="light", locale="en-GB")
        log_in(page, settings)
        for picture in pictures(settings):
            if not arguments.only or picture.name in arguments.only:
                path = take(page, picture, settings.home)
                print(f"{path.relative_to(project_root())}  {path.stat().st_size // 1000} kB")
        browser.close()


if __name__ == "__main__":
    main()
