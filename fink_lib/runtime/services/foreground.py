"""Run one local service as this very process: what a container does, under the same command as ``fink up`` uses.

``python -m fink_lib.runtime.services.foreground NAME`` prepares the service's folder and becomes its program.
``--prepare`` only prepares; ``--check`` exits with 0 if the service answers in its own protocol.
"""

from __future__ import annotations

import argparse
import os
import sys

from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_OK, FinkError
from fink_lib.runtime.services import SERVICES, build


def main(argv: list[str] | None = None) -> int:
    """Command line: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m fink_lib.runtime.services.foreground")
    parser.add_argument("name", choices=[service.name for service in SERVICES])
    parser.add_argument("--prepare", action="store_true", help="make the service's folder ready, and end")
    parser.add_argument("--check", action="store_true", help="exit with 0 if it answers")
    arguments = parser.parse_args(argv)
    try:
        service = build(load_settings(), arguments.name)
        if arguments.check:
            return EXIT_OK if service.ready(0.0) else EXIT_FAILED
        service.log_file.parent.mkdir(parents=True, exist_ok=True)
        service.prepare()
        if arguments.prepare:
            return EXIT_OK
        command = service.command()
        os.execvpe(command[0], command, service.environment())
    except FinkError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
