"""What the README names exists: commands, options, files, ports, users."""

from __future__ import annotations

import re
import shlex
import struct
from pathlib import Path

import pytest
import typer.main

from fink_lib.bench.measure import BUDGETS, LATENCY_BUDGET_S, STAGES
from fink_lib.cli import build_app
from fink_lib.config import Settings, load_settings, project_root
from fink_lib.filters.files import load_filters
from fink_lib.runtime.services import SERVICES
from fink_lib.surveys import get_survey

ROOT = project_root()
PAGE = (ROOT / "README.md").read_text()
LARGEST_IMAGE_BYTES = 300_000
LONGEST_LINE = 120
OUTPUT = re.compile(r"^```text\n.*?^```", re.MULTILINE | re.DOTALL)
INSTRUCTIONS = OUTPUT.sub("", PAGE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """Every command line of a program, in blocks and in the text, as words."""
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL))
    lines = [line for block in blocks("bash") for line in block.splitlines()] + inline
    found = []
    for line in lines:
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        if words[:1] == [program] and len(words) > 1:
            found.append(words[1:])
    return found


def anchors(path: Path) -> set[str]:
    """The places of a page that a link may point to."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def links() -> list[str]:
    return [link for link in re.findall(r"\]\(([^)]+)\)", PAGE) if not link.startswith("http")]


def config_ports() -> dict[str, int]:
    defaults = Settings(home=ROOT)
    return {
        f"{section}.{name}": value
        for section in type(defaults).model_fields
        if hasattr(part := getattr(defaults, section), "model_dump")
        for name, value in part.model_dump().items()
        if name == "port" or name.endswith("_port")
    }


def named_ports() -> dict[str, int]:
    return {name: int(port) for name, port in re.findall(r"\| `(\w+\.\w*port)` \| (\d+) \|", PAGE)}


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {words[0] for words in commands("make")}
    assert named >= {"demo", "test", "check", "help"}
    assert named <= targets


@pytest.mark.parametrize("words", commands("fink"), ids=" ".join)
def test_a_fink_command_exists_and_takes_its_options(words):
    command = typer.main.get_command(build_app())
    while hasattr(command, "commands"):
        assert words and words[0] in command.commands
        command, words = command.commands[words[0]], words[1:]
    assert {word for word in words if word.startswith("--")} <= {
        name for parameter in command.params for name in parameter.opts
    }


def test_the_commands_of_the_tour_are_named():
    named = {words[0] for words in commands("fink")}
    assert named >= {"up", "down", "status", "why", "night", "simulate", "filter", "bench", "demo"}


@pytest.mark.parametrize("link", links())
def test_a_link_leads_somewhere(link):
    path, _, anchor = link.partition("#")
    target = ROOT / path if path else ROOT / "README.md"
    assert target.exists()
    assert not anchor or anchor in anchors(target)


def test_folders_and_files_in_the_text_exist():
    named = re.findall(r"`((?:fink_lib|sql|docs|docker|tests|dags|jobs|\.ci)/[\w./-]*)`", PAGE)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_pictures_are_small_and_as_wide_as_the_script_makes_them():
    pictures = [ROOT / link for link in links() if link.endswith(".png")]
    on_call = (ROOT / "docs" / "operations.md").read_text()
    pictures += [ROOT / "docs" / link for link in re.findall(r"!\[[^]]+\]\(([^)]+\.png)\)", on_call)]
    assert {picture.name for picture in pictures} == {picture.name for picture in (ROOT / "docs/images").glob("*.png")}
    for picture in pictures:
        content = picture.read_bytes()
        assert len(content) < LARGEST_IMAGE_BYTES
        assert struct.unpack(">I", content[16:20]) == (1400,)


def test_the_table_of_ports_is_that_of_the_settings():
    assert named_ports() == config_ports()


def test_addresses_use_default_ports():
    used = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", PAGE)}
    assert used
    assert used <= set(config_ports().values())


def test_the_table_of_processes_names_every_service_and_stage():
    table = PAGE[PAGE.index("## Processes and ports") : PAGE.index("## When it breaks")]
    named = set(re.findall(r"`([\w-]+)`", table))
    assert {service.name for service in SERVICES} | set(STAGES) <= named


def test_a_variable_named_as_a_setting_is_one(tmp_path, monkeypatch):
    named = re.findall(r"(FINK__\w+)=(\w+)", PAGE)
    assert named
    for name, value in named:
        monkeypatch.setenv(name, value)
    load_settings(tmp_path)


def test_the_number_of_alerts_of_the_demo_is_the_default():
    count = int(re.search(r"synthetic night of (\d+) alerts", re.sub(r"\s+", " ", PAGE))[1])
    assert count == Settings(home=ROOT).simulator.synthetic_alerts


def test_topics_are_those_of_filters():
    topics = {one.topic("fink") for one in load_filters(get_survey("ztf")).filters}
    named = set(re.findall(r"\bfink_\w+_ztf\b", PAGE))
    assert named and named <= topics


def test_the_filter_that_is_shown_is_the_one_that_runs():
    (shown,) = blocks("sql")
    assert shown == (ROOT / "sql/filters/ztf/sso_fink_candidates.sql").read_text()


def test_budgets_are_those_of_the_benchmark():
    for what, budget in BUDGETS.items():
        assert re.search(rf"^\| `{what}`[^|]*\|[^|]*\| {budget:.0f} \|", PAGE, re.MULTILINE), what
    for mark, budget in LATENCY_BUDGET_S.items():
        assert re.search(rf"^\| {mark} \|[^|]*\| {budget:.0f} \|", PAGE, re.MULTILINE), mark


@pytest.mark.parametrize("block", blocks("python"))
def test_python_examples_are_python(block):
    compile(block, "README.md", "exec")


def test_no_line_is_too_long_to_read_as_text():
    text = [line for line in INSTRUCTIONS.splitlines() if not line.startswith("|")]
    assert [line for line in text if len(line) > LONGEST_LINE] == []
