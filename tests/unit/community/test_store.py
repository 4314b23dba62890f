"""The store under several processes, and under one that is killed while it writes."""

from __future__ import annotations

import subprocess
import sys
import time

from fink_lib.community.store import Store

WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from fink_lib.community.store import Store
store = Store(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    with store.transaction() as change:
        last = change.row("SELECT MAX(version) AS n FROM filter_versions")
        if not change.row("SELECT 1 AS one FROM filters"):
            change.add("filters", survey="ztf", name="mine", owner="ann", visibility="public", created="now")
        change.add("filter_versions", survey="ztf", name="mine", version=1 + (last["n"] or 0), said="{}", text="",
                   digest="", owner="ann", token="", created="now")
    print("done", flush=True)
"""


def writer(home, times):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(home), str(times)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def versions(home):
    store = Store(home)
    found = [row["version"] for row in store.rows("SELECT version FROM filter_versions ORDER BY version")]
    assert store.row("PRAGMA integrity_check") == {"integrity_check": "ok"}
    store.close()
    return found


def test_what_is_read_in_a_transaction_stays_true_until_its_end(tmp_path):
    """Each writer takes the next number; without the transaction two of them would take the same and one would fail."""
    writers = [writer(tmp_path, 40) for _ in range(3)]
    told = [one.communicate(timeout=60)[0].split() for one in writers]
    assert told == [["done"] * 40] * 3
    assert versions(tmp_path) == list(range(1, 121))


def test_a_writer_that_is_killed_leaves_what_it_said_it_did(tmp_path):
    doomed = writer(tmp_path, 10**6)
    assert doomed.stdout is not None
    said = [doomed.stdout.readline() for _ in range(30)]
    time.sleep(0.05)
    doomed.kill()
    said += doomed.stdout.readlines()
    doomed.wait()
    doomed.stdout.close()
    number = len([line for line in said if line == "done\n"])
    # the last one may be there although it was not told any more
    assert versions(tmp_path) in (list(range(1, number + 1)), list(range(1, number + 2)))
    other = writer(tmp_path, 1)
    assert other.communicate(timeout=60)[0] == "done\n"
