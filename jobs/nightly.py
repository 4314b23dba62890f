"""Run one stage of the nightly chain: ``python -m jobs.nightly --survey ztf --stage reconcile --night 20240312``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_LOCKED, EXIT_OK, ConfigError, FinkError, LockedError

REPLAY = "replay"
KEPT = ("night", "ok", "message", "report", "alerts", "modules", "classes", "enters", "leaves")
"""What the next task needs of the report of a replay; the rest is in its files."""


def main(argv: list[str] | None = None) -> int:
    """Run the stage, print its verdict as JSON, and write it to ``--json`` if given.

    Returns
    -------
    int
        0 the stage passed, 1 it failed or must not run now, 75 another stage of the night is running.
    """
    from fink_lib.nightly.runner import FUNCTIONS
    from fink_lib.runtime.files import write_json

    parser = argparse.ArgumentParser(prog="jobs.nightly", description=__doc__)
    parser.add_argument("--survey", required=True, help="whose night, for example ztf")
    parser.add_argument("--stage", required=True, choices=(*FUNCTIONS, REPLAY))
    parser.add_argument("--night", required=True, help="YYYYMMDD")
    parser.add_argument("--table", default="", help="archive table, for archive and verify_archive; all without")
    parser.add_argument("--from", dest="start", default="raw", help="for replay: from which table, raw or science")
    parser.add_argument("--pin", action="append", default=[], help="for replay: a version to use, see fink replay run")
    parser.add_argument("--json", type=Path, help="where to write the verdict")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        verdict = _run(options)
        code = EXIT_OK if verdict["ok"] else EXIT_FAILED
    except LockedError as error:
        verdict, code = _broken(options, error), EXIT_LOCKED
    except FinkError as error:
        verdict, code = _broken(options, error), EXIT_FAILED
    if options.json:
        write_json(options.json, verdict)
    print(json.dumps(verdict))
    if not verdict["ok"]:
        print(verdict["message"], file=sys.stderr)
    return code


def _run(options: argparse.Namespace) -> dict[str, Any]:
    from fink_lib.nightly.runner import run_stage

    settings = load_settings()
    if options.stage != REPLAY:
        return run_stage(settings, options.survey, options.night, options.stage, options.table)
    from fink_lib.nightly.replay.make import replay_night

    # It works beside the night and takes no lock of it: the night's own stages go on.
    tell = logging.getLogger(__name__).info
    told = replay_night(settings, options.survey, options.night, options.start, options.pin, tell)
    return {"stage": REPLAY, **{name: told[name] for name in KEPT}, "equal": told["tables"]["science"]["equal"]}


def _broken(options: argparse.Namespace, error: FinkError) -> dict[str, Any]:
    # The kind tells the task whether the same command may succeed later.
    return {
        "stage": options.stage,
        "night": options.night,
        "ok": False,
        "message": str(error),
        "error_kind": "config" if isinstance(error, ConfigError) else "transient",
    }


if __name__ == "__main__":
    sys.exit(main())
