from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from fink_lib.runtime.files import append_json_line, read_json, read_json_lines, write_json


def test_what_is_written_is_read(tmp_path) -> None:
    write_json(tmp_path / "new" / "a.json", {"n": 1})
    assert read_json(tmp_path / "new" / "a.json") == {"n": 1}


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\x00\xff"])
def test_anything_but_an_object_reads_as_none(tmp_path, text) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("latin1"))
    assert read_json(tmp_path / "a.json") is None
    assert read_json(tmp_path / "missing.json") is None


def test_a_reader_never_sees_a_torn_file(tmp_path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"n": 0, "fill": ""})
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            write_json(path, {"n": n, "fill": "x" * (n % 50_000)}, durable=False)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [read_json(path) for _ in range(2000)]
    finally:
        stop.set()
        writer.join()
    assert all(row is not None and len(row["fill"]) == row["n"] % 50_000 for row in seen)
    assert len({row["n"] for row in seen if row}) > 1


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path) -> None:
    write_json(tmp_path / "a.json", {"n": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"n": object()})
    assert read_json(tmp_path / "a.json") == {"n": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_lines_of_several_processes_do_not_mix_and_a_torn_last_line_is_left_out(tmp_path) -> None:
    path = tmp_path / "rows.jsonl"
    code = (
        "import sys; from pathlib import Path; from fink_lib.runtime.files import append_json_line\n"
        "for n in range(200): append_json_line(Path(sys.argv[1]), {'who': sys.argv[2], 'n': n})"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), who]) for who in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    append_json_line(path, {"who": "c", "n": 0})
    with path.open("a") as file:
        file.write('{"who": "torn')
    rows = read_json_lines(path)
    assert len(rows) == 401
    assert [row["n"] for row in rows if row["who"] == "a"] == list(range(200))
