"""Run stream2raw: ``python -m jobs.stream2raw --survey ztf [--once]``."""

from __future__ import annotations

import sys

from jobs.arguments import run_streaming_job


def main(argv: list[str] | None = None) -> int:
    """Decode the survey's messages into the lake until asked to drain."""
    from fink_lib.streams.stream2raw import Stream2Raw

    return run_streaming_job(Stream2Raw(), argv)


if __name__ == "__main__":
    sys.exit(main())
