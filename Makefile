# Everything a person or a machine does with this project starts here. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.11
UV_VERSION := 0.13.8
ALERTS ?=

UV := .tools/bin/uv
PY := .venv/bin/python
INSTALLED := .venv/.installed
SAY := @printf '%s\n'
# uv draws its own progress on a terminal; elsewhere its list of 200 packages is left out.
UNLISTED := $(shell [ -t 2 ] || printf '%s' "2>&1 | { grep -v '^ [-+~] ' || true; }")

.PHONY: help setup demo test check fault test-long lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED)  ## install what is missing: virtual environment, packages, Java artifacts
	@$(PY) -m fink_lib.runtime.artifacts

demo: setup  ## one night of alerts through the whole broker (ALERTS=path for real ones)
	@.venv/bin/fink demo $(ALERTS)

check: setup  ## format, lint, types, import rules
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports

test: setup  ## all tests in their short form: unit, spark, services, faults
	$(PY) -m pytest -m "not long" -n 2 --dist loadfile --durations 15 tests/unit
	$(PY) -m pytest -m "not long" -n 3 --dist loadfile --durations 15 tests/spark tests/stack
	$(PY) -m pytest -m "not long" --durations 15 tests/faults

test-long: setup  ## the long tests of unit, spark and services
	$(PY) -m pytest tests/unit tests/spark tests/stack

fault: setup  ## the whole fault suite
	$(PY) -m pytest tests/faults

lock: $(UV)  ## resolve pyproject.toml and jars.xml anew, and write both lock files
	$(UV) pip compile pyproject.toml --group dev --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --quiet --output-file requirements.lock
	@$(MAKE) setup
	@$(PY) -m fink_lib.runtime.artifacts --lock

clean:  ## remove what setup and tests made, but not .fink (`.venv/bin/fink down` first)
	rm -rf .venv .tools .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -not -path './.fink/*' -prune -exec rm -rf {} +

$(INSTALLED): requirements.lock pyproject.toml | $(UV)
	$(SAY) 'setup: Python packages into .venv'
	@test -x $(PY) || $(UV) venv --quiet --python $(PYTHON) .venv
	@$(UV) pip sync --python $(PY) --require-hashes requirements.lock $(UNLISTED)
	@$(UV) pip install --python $(PY) --quiet --no-deps --editable .
	@touch $@

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2> /dev/null \
	    || { echo 'Python 3.11 is needed: install it, or name it with `make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.11`' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null \
	    || { echo 'this Python 3.11 cannot make virtual environments: install its venv module (on Debian: python3.11-venv)' >&2; exit 1; }
	$(SAY) 'setup: uv $(UV_VERSION) into .tools'
	@$(PYTHON) -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
