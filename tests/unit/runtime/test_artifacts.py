import hashlib
import json
import multiprocessing
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from fink_lib.errors import ConfigError, TransientError
from fink_lib.runtime import artifacts

FILES = {"spark/delta-spark-1.jar": b"delta", "kafka/kafka-1.jar": b"kafka", "hbase/hbase-1.jar": b"hbase"}


def fill(folder: Path, files: dict[str, bytes] = FILES) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "jars.sha256"
    path.write_text("".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in FILES.items()))
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FINK_JARS", raising=False)


def test_what_was_fetched_and_verified_is_complete(tmp_path: Path, lock: Path) -> None:
    place = tmp_path / "jars"
    assert not artifacts.is_complete(place, lock)
    artifacts.install(place, lock, fill)
    assert artifacts.is_complete(place, lock)
    assert {str(jar.relative_to(place)) for jar in place.glob("*/*.jar")} == set(FILES)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("kafka/kafka-1.jar", b"other", "has another content"),
        ("kafka/extra-1.jar", b"extra", "is not in the lock"),
    ],
)
def test_a_file_that_differs_from_the_lock_is_refused_and_nothing_is_installed(
    tmp_path: Path, lock: Path, name: str, content: bytes, told: str
) -> None:
    with pytest.raises(ConfigError, match=f"{name} {told}"):
        artifacts.install(tmp_path / "jars", lock, lambda folder: fill(folder, {**FILES, name: content}))
    assert not (tmp_path / "jars").exists()


def test_a_missing_file_is_named(tmp_path: Path, lock: Path) -> None:
    with pytest.raises(ConfigError, match="hbase/hbase-1.jar is missing"):
        artifacts.install(
            tmp_path / "jars", lock, lambda folder: fill(folder, {k: v for k, v in FILES.items() if "hbase" not in k})
        )


def test_a_fetch_that_dies_leaves_nothing_that_counts_as_complete(tmp_path: Path, lock: Path) -> None:
    place = tmp_path / "jars"

    def die(folder: Path) -> None:
        fill(folder)
        raise TransientError("the network went away")

    with pytest.raises(TransientError):
        artifacts.install(place, lock, die)
    assert not artifacts.is_complete(place, lock)
    with pytest.raises(ConfigError, match="make setup"):
        artifacts.require_jars(folder=place, lock=lock)
    artifacts.install(place, lock, fill)
    assert artifacts.require_jars(folder=place, lock=lock) == place


def test_a_folder_without_a_stamp_is_not_complete_even_if_all_names_are_there(tmp_path: Path, lock: Path) -> None:
    fill(tmp_path / "jars")
    assert not artifacts.is_complete(tmp_path / "jars", lock)


def test_a_jar_removed_later_or_a_new_lock_makes_the_folder_incomplete(tmp_path: Path, lock: Path) -> None:
    place = tmp_path / "jars"
    artifacts.install(place, lock, fill)
    (place / "kafka" / "kafka-1.jar").unlink()
    assert not artifacts.is_complete(place, lock)
    artifacts.install(place, lock, fill)
    lock.write_text(lock.read_text() + f"{'0' * 64}  kafka/new-1.jar\n")
    assert not artifacts.is_complete(place, lock)


def fetch_in_a_process(cache: str, log: str) -> None:
    def fetch(folder: Path) -> None:
        with open(log, "a") as file:
            file.write("fetched\n")
        fill(folder)

    artifacts.LOCK = Path(cache) / "jars.sha256"
    artifacts.ensure_jars(lambda _line: None, fetch)


def test_two_processes_that_need_the_jars_fetch_them_once(tmp_path: Path, lock: Path) -> None:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads can hang
    log = tmp_path / "log"
    both = [context.Process(target=fetch_in_a_process, args=(str(tmp_path), str(log))) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
        assert process.exitcode == 0
    assert log.read_text() == "fetched\n"


def test_a_folder_that_somebody_copied_is_accepted_if_every_file_is_right(
    tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "LOCK", lock)
    monkeypatch.setenv("FINK_JARS", str(tmp_path / "copied"))
    fill(tmp_path / "copied")

    def unreachable(_folder: Path) -> None:
        raise TransientError("no network")

    assert artifacts.ensure_jars(lambda _line: None, unreachable) == tmp_path / "copied"
    (tmp_path / "copied" / "complete.json").unlink()
    (tmp_path / "copied" / "kafka" / "kafka-1.jar").write_bytes(b"other")
    with pytest.raises(TransientError):
        artifacts.ensure_jars(lambda _line: None, unreachable)


def test_the_lock_holds_each_artifact_that_is_asked_for_in_its_version() -> None:
    locked = artifacts.read_lock()
    root = ElementTree.parse(artifacts.DECLARATION).getroot()
    asked = root.findall("./dependencies/dependency")
    assert len(asked) > 5
    for dependency in asked:
        conf = dependency.attrib["conf"].partition("->")[0]
        assert f"{conf}/{dependency.attrib['name']}-{dependency.attrib['rev']}.jar" in locked
    assert {name.partition("/")[0] for name in locked} == set(artifacts.CONFS)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in locked.values())


def test_sparks_class_path_holds_connectors_and_nothing_that_pyspark_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "jars"
    fill(place, dict.fromkeys(artifacts.read_lock(), b""))
    (place / "complete.json").write_text(
        json.dumps({"lock": hashlib.sha256(artifacts.LOCK.read_bytes()).hexdigest()[:16]})
    )
    monkeypatch.setenv("FINK_JARS", str(place))
    names = [Path(entry).name for entry in artifacts.spark_class_path().split(":")]
    assert any(name.startswith("delta-spark") for name in names)
    assert any(name.startswith("spark-sql-kafka") for name in names)
    assert not any(name.startswith(("scala-library", "slf4j", "hadoop", "jsr305", "snappy")) for name in names)
