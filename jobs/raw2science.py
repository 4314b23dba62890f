"""Run raw2science: ``python -m jobs.raw2science --survey ztf [--once]``."""

from __future__ import annotations

import sys

from jobs.arguments import run_streaming_job


def main(argv: list[str] | None = None) -> int:
    """Add science values to the alerts of the lake until asked to drain."""
    from fink_lib.streams.raw2science import Raw2Science

    return run_streaming_job(Raw2Science(), argv)


if __name__ == "__main__":
    sys.exit(main())
