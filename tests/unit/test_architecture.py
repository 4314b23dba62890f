"""Rooms of the project: who may import whom. The import linter checks packages; this checks the files themselves."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fink_lib.config import project_root

ROOT = project_root()
DAG_FILES = sorted((ROOT / "dags").rglob("*.py"))
LIBRARY_FILES = sorted((ROOT / "fink_lib").rglob("*.py"))
JOB_FILES = sorted((ROOT / "jobs").glob("*.py"))

DAGS_MAY_IMPORT = ("airflow", "pydantic", "dags", "fink_lib.runtime", "fink_lib.config", "fink_lib.errors")
# The web pages that plugins mount are served by Airflow's own FastAPI.
PAGES_MAY_IMPORT = (*DAGS_MAY_IMPORT, "fastapi", "starlette")
MOST_LINES = {"fink_lib/**": 400, "dags/*": 150, "dags/*/**": 400, "jobs/*": 120}


def imported(path: Path) -> Iterator[str]:
    """Names of all modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            # `from fink_lib import config` imports the module fink_lib.config
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_below(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", DAG_FILES, ids=ids(DAG_FILES))
def test_dag_files_import_airflow_runtime_config_errors_and_nothing_else(path: Path) -> None:
    allowed = PAGES_MAY_IMPORT if {"plugins", "pages"} & set(path.parts) else DAGS_MAY_IMPORT
    wrong = [
        name
        for name in imported(path)
        if name.partition(".")[0] not in sys.stdlib_module_names and not is_below(name, allowed)
    ]
    assert wrong == []


def test_the_library_imports_neither_dags_nor_jobs_nor_tests() -> None:
    wrong = [
        (str(path), name)
        for path in LIBRARY_FILES
        for name in imported(path)
        if is_below(name, ("dags", "jobs", "tests"))
    ]
    assert wrong == []


def test_jobs_import_no_dags_and_no_tests() -> None:
    assert [name for path in JOB_FILES for name in imported(path) if is_below(name, ("dags", "tests"))] == []


@pytest.mark.parametrize("room", MOST_LINES)
def test_files_stay_short(room: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sorted(ROOT.glob(f"{room}/*.py" if room.endswith("**") else f"{room}.py"))
        if (lines := len(path.read_text().splitlines())) > MOST_LINES[room]
    }
    assert long == {}
