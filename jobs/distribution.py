"""Run distribution: ``python -m jobs.distribution --survey ztf [--once]``."""

from __future__ import annotations

import sys

from jobs.arguments import run_streaming_job


def main(argv: list[str] | None = None) -> int:
    """Send the alerts that filters take to their topics until asked to drain."""
    from fink_lib.streams.distribution import Distribution

    return run_streaming_job(Distribution(), argv)


if __name__ == "__main__":
    sys.exit(main())
