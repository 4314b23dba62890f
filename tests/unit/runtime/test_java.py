from pathlib import Path

import pytest

from fink_lib.errors import ConfigError
from fink_lib.runtime.java import find_java, java_version


def make_jdk(folder: Path, release: str | None = None, answer: str = "") -> Path:
    """A JDK as far as the search for it looks: ``bin/java``, and ``release`` if given."""
    (folder / "bin").mkdir(parents=True)
    java = folder / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho '{answer}' >&2\n")
    java.chmod(0o755)
    if release is not None:
        (folder / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{release}"\n')
    return java


@pytest.fixture(autouse=True)
def no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.mark.parametrize(("release", "version"), [("17.0.15", 17), ("21", 21), ("1.8.0_402", 8), ("11.0.2", 11)])
def test_the_version_is_read_from_the_release_file(tmp_path: Path, release: str, version: int) -> None:
    assert java_version(make_jdk(tmp_path / "jdk", release)) == version


def test_without_a_release_file_java_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    java = make_jdk(tmp_path / "jdk", answer='openjdk version "21.0.1" 2023-10-17')
    assert java_version(java) == 21


def test_java_home_goes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = make_jdk(tmp_path / "home", "17.0.1")
    make_jdk(tmp_path / "path", "21.0.1")
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    assert find_java() == tmp_path / "path" / "bin" / "java"
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert find_java() == java


def test_no_java_is_one_sentence_with_the_next_step() -> None:
    with pytest.raises(ConfigError, match=r"^no java found; install a JDK 17 or 21 [^\n]*$"):
        find_java()


def test_a_wrong_version_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_jdk(tmp_path / "path", "11.0.2")
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    with pytest.raises(ConfigError, match="is Java 11; install a JDK 17 or 21"):
        find_java()


def test_a_java_home_without_java_is_named_even_if_path_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_jdk(tmp_path / "path", "17.0.2")
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match=r"JAVA_HOME is .*gone, but there is no bin/java in it"):
        find_java()
