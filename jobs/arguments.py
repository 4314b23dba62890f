"""What the streaming jobs share: their arguments, their log, and the exit code of a held lock."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING

from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_LOCKED, FinkError, LockedError

if TYPE_CHECKING:
    from fink_lib.streams.stage import Stage


def run_streaming_job(stage: Stage, argv: list[str] | None) -> int:
    """Parse the arguments and drive the stage.

    Returns
    -------
    int
        0 drained or done, 1 failed, 75 another driver of the stage is alive.
    """
    from fink_lib.streams.stage import run_stage

    parser = argparse.ArgumentParser(prog=f"jobs.{stage.name}", description=(stage.__doc__ or "").strip())
    parser.add_argument("--survey", required=True, help="whose alerts, for example ztf")
    parser.add_argument("--once", action="store_true", help="read what is there now, then end")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        return run_stage(stage, load_settings(), options.survey, options.once)
    except LockedError as error:
        print(error, file=sys.stderr)
        return EXIT_LOCKED
    except FinkError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
