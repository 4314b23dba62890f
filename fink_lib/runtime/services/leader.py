"""Become a service: take its lock, say who this is, and turn into the service's program.

Run as a file (``python -I -S leader.py FOLDER PROGRAM [ARGUMENT…]``), so that it costs 15 ms and imports nothing.
The identity is written by the process that it names, and the lock passes over ``exec`` into the program. So whoever
is killed at whatever moment, a service that lives has a record, and there is never a second one.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time

EXIT_LOCKED = 75


def main(folder: str, program: list[str]) -> int:
    """Take the lock in ``folder``, write ``process.json`` there, and run the program in this process."""
    lock = os.open(os.path.join(folder, "service.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return EXIT_LOCKED
    os.set_inheritable(lock, True)
    with open("/proc/self/stat") as file:
        start_ticks = int(file.read().rpartition(")")[2].split()[19])
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot_id = file.read().strip()
    identity = {"pid": os.getpid(), "start_ticks": start_ticks, "boot_id": boot_id, "started_s": time.time()}
    record = os.path.join(folder, "process.json")
    with open(record + ".new", "w") as file:
        json.dump(identity, file)
    os.rename(record + ".new", record)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        print(f"cannot run {program[0]}: {error.strerror}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
