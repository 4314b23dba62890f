"""Run multimessenger: ``python -m jobs.multimessenger --survey ztf [--once]``."""

from __future__ import annotations

import argparse
import logging
import sys

from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_LOCKED, FinkError, LockedError


def main(argv: list[str] | None = None) -> int:
    """Join GCN notices with alerts and send what belongs together until asked to drain.

    Returns
    -------
    int
        0 drained or done, 1 failed, 75 another driver of the stage is alive.
    """
    from fink_lib.streams.messengers.stage import run

    parser = argparse.ArgumentParser(prog="jobs.multimessenger", description=main.__doc__)
    parser.add_argument("--survey", required=True, help="whose alerts, for example ztf")
    parser.add_argument("--once", action="store_true", help="look once, then end")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        return run(load_settings(), options.survey, options.once)
    except LockedError as error:
        print(error, file=sys.stderr)
        return EXIT_LOCKED
    except FinkError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
