"""A driver without Spark: real process, real lock, real heartbeat, made-up batches. Supervision tests launch it.

``TOY`` in the environment is a JSON object: ``jvm`` (start a child that outlives this process and record it as the
JVM), ``deaf`` (ignore SIGTERM), ``fail`` (``config``, ``transient`` or ``fault``: fail at the first batch),
``hang_after`` (batches until one never ends), ``end_after`` (batches until it ends by itself).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time

from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_LOCKED, ConfigError, FinkError, LockedError, TransientError
from fink_lib.runtime.driver import DriverSession
from fink_lib.runtime.failpoints import failpoint

ERRORS = {"config": ConfigError, "transient": TransientError, "fault": RuntimeError}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--survey", required=True)
    parser.add_argument("--stage", required=True)
    arguments = parser.parse_args()
    toy = json.loads(os.environ.get("TOY", "{}"))
    settings = load_settings()
    try:
        with DriverSession(settings, arguments.survey, arguments.stage) as session:
            if toy.get("deaf"):
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if toy.get("jvm"):
                session.set_jvm(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
            session.running()
            batch = 0
            while not session.draining.is_set():
                session.working()
                failpoint(settings, arguments.survey, arguments.stage, "mid_batch")
                if toy.get("fail"):
                    raise ERRORS[toy["fail"]](f"toy failure of kind {toy['fail']}\nsecond line")
                while batch == toy.get("hang_after"):
                    time.sleep(0.1)
                time.sleep(0.1)
                session.progress(batch=f"g1-{batch:09d}", rows_in=10, rows_s=100.0, lag=5, trigger_ms=100)
                batch += 1
                if batch == toy.get("end_after"):
                    break
        return 0
    except LockedError as error:
        print(error, file=sys.stderr)
        return EXIT_LOCKED
    except (FinkError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
