"""Java artifacts: declared in ``jars.xml``, pinned by SHA-256 in ``jars.sha256``, kept outside the project.

The Ivy that PySpark ships fetches them into a folder of its own; each file is compared with the lock; only then the
folder is stamped and takes its final name. A folder without a valid stamp is never used, so a killed or torn download
cannot be taken for a whole one. With a stamp, a look at the names is enough: nothing is hashed again.

``FINK_JARS`` names another folder (for example one that was copied to a machine without network), and
``FINK_IVY_SETTINGS`` an Ivy settings file, for networks that reach Maven artifacts through a mirror.

``python -m fink_lib.runtime.artifacts`` fetches what is missing; ``--lock`` fetches anew and writes the lock.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fink_lib.errors import EXIT_FAILED, EXIT_OK, ConfigError, FinkError, LockedError, TransientError
from fink_lib.runtime.files import read_json, write_json
from fink_lib.runtime.java import find_java
from fink_lib.runtime.lock import FileLock

CONFS = ("spark", "kafka", "hbase")
DECLARATION = Path(__file__).with_name("jars.xml")
LOCK = Path(__file__).with_name("jars.sha256")
# PySpark ships the rest of the connectors' dependencies; a second copy of them would only shadow its own.
_SPARK_NEEDS = ("antlr4-runtime-", "commons-pool2-", "delta-", "kafka-clients-", "spark-", "xz-")
_STAMP = "complete.json"
_WAIT_S = 1800.0
_REPORT_S = 5.0

Report = Callable[[str], None]


def read_lock(path: Path | None = None) -> dict[str, str]:
    """The lock as a mapping of ``conf/file.jar`` to SHA-256; the file has the format of ``sha256sum``."""
    pairs = (line.split(maxsplit=1) for line in (path or LOCK).read_text().splitlines() if line.strip())
    return {name.strip(): digest for digest, name in pairs}


def jars_dir() -> Path:
    """Where the jars are, or will be: a folder with one sub-folder for each of ``CONFS``. It may not exist yet."""
    given = os.environ.get("FINK_JARS")
    return Path(given).resolve() if given else _cache_root() / f"jars-{_digest(LOCK)}"


def require_jars(*, folder: Path | None = None, lock: Path | None = None) -> Path:
    """The folder of the jars, known to be whole.

    Raises
    ------
    ConfigError
        If it is not; the message says how to fetch them.
    """
    place = folder or jars_dir()
    if not is_complete(place, lock):
        raise ConfigError(f"the Java artifacts in {place} are missing or incomplete; run `make setup`")
    return place


def spark_class_path() -> str:
    """What a Spark driver needs besides PySpark's own jars, as a class path."""
    jars = sorted((require_jars() / "spark").glob("*.jar"))
    return os.pathsep.join(str(jar) for jar in jars if jar.name.startswith(_SPARK_NEEDS))


def class_path(conf: str, *first: Path) -> str:
    """Class path of a service: some folders or jars, then all jars of one configuration."""
    return os.pathsep.join([*(str(entry) for entry in first), str(require_jars() / conf / "*")])


def is_complete(folder: Path, lock: Path | None = None) -> bool:
    """Whether a folder was verified against this lock, and still holds every file."""
    stamp = read_json(folder / _STAMP)
    if stamp is None or stamp.get("lock") != _digest(lock or LOCK):
        return False
    return all((folder / name).is_file() for name in read_lock(lock))


def verify(folder: Path, lock: Path | None = None) -> None:
    """Compare a folder with the lock, file by file.

    Raises
    ------
    ConfigError
        If a file is missing, is not in the lock, or has another content; the message names the first few.
    """
    locked = read_lock(lock)
    there = set(_jars(folder))
    wrong = [f"{name} is missing" for name in sorted(locked.keys() - there)]
    wrong += [f"{name} is not in the lock" for name in sorted(there - locked.keys())]
    both = sorted(there & locked.keys())
    wrong += [f"{name} has another content" for name in both if _sha256(folder / name) != locked[name]]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ConfigError(
            f"the Java artifacts differ from {(lock or LOCK).name}: {', '.join(wrong[:3])}{more}; nothing was installed"
        )


def ensure_jars(report: Report = print, fetch: Callable[[Path], None] | None = None) -> Path:
    """Fetch and verify the jars if they are not there yet; at once if they are.

    Parameters
    ----------
    report : callable
        Takes one line of progress.
    fetch : callable, optional
        Fills the folder that it is given; by Ivy if not given.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ConfigError
        If Java is missing, or if what was fetched is not what the lock says.
    TransientError
        If the download failed; the files that came are kept for the next try.
    """
    place = jars_dir()
    if is_complete(place):
        return place
    lock = FileLock(place.parent / f".{place.name}.lock")
    with _held(lock, report):
        if is_complete(place):
            return place
        if any(_jars(place)) and _stamp_if_whole(place):
            return place
        install(place, LOCK, fetch or (lambda target: _fetch(target, report)))
        report(f"jars: {len(read_lock())} files verified, in {place}")
    return place


def install(place: Path, lock: Path, fetch: Callable[[Path], None]) -> None:
    """Fill a folder in one step: fetch beside it, verify, stamp, rename.

    Parameters
    ----------
    place : Path
        The folder; whatever it held before is replaced.
    lock : Path
        What it must hold.
    fetch : callable
        Fills the folder that it is given.
    """
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fetch(partial)
    try:
        verify(partial, lock)
    except ConfigError:
        # A damaged file in the download cache would fail each further try as well.
        shutil.rmtree(_ivy_cache(), ignore_errors=True)
        raise
    write_json(partial / _STAMP, {"lock": _digest(lock), "files": len(read_lock(lock))})
    if place.exists():
        shutil.rmtree(place)
    partial.rename(place)
    shutil.rmtree(_ivy_cache(), ignore_errors=True)


def write_lock(report: Report = print) -> None:
    """Fetch what ``jars.xml`` asks for today and write the lock from it. For whoever changes the declaration."""
    partial = _cache_root() / ".relock"
    shutil.rmtree(partial, ignore_errors=True)
    _fetch(partial, report)
    lines = [f"{_sha256(partial / name)}  {name}\n" for name in sorted(_jars(partial))]
    LOCK.write_text("".join(lines))
    shutil.rmtree(partial)
    report(f"jars: {len(lines)} files locked in {LOCK}")


@contextlib.contextmanager
def _held(lock: FileLock, report: Report) -> Iterator[None]:
    """Hold the download lock; wait, and say so, while another process fetches."""
    try:
        lock.acquire()
    except LockedError:
        report("jars: another process is fetching them; waiting for it")
        lock.wait_s = _WAIT_S
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(target: Path, report: Report) -> None:
    """Run one Ivy for each configuration, at the same time: most of the minutes go by in waiting for small files."""
    report("jars: fetching the Java artifacts (about 180 MB, one to two minutes)")
    logs = {conf: _ivy_cache() / f"{conf}.log" for conf in CONFS}
    children = [_start_ivy(conf, target, log) for conf, log in logs.items()]
    try:
        _follow(children, logs.values(), report)
    finally:
        for child in children:
            child.kill()
            child.wait()
    if any(child.returncode != 0 for child in children):
        lines = [line.strip() for log in logs.values() for line in log.read_text(errors="replace").splitlines()]
        causes = [line for line in lines if "UNRESOLVED" in line or "FAILED" in line or "Exception" in line]
        cause = causes[0].strip(": ") if causes else f"see {_ivy_cache()}"
        raise TransientError(f"the Java artifacts could not be fetched ({cause}); check the network and run it again")


def _start_ivy(conf: str, target: Path, log: Path) -> subprocess.Popen[bytes]:
    # Ivy's cache is not made for several processes, so each has its own; it is kept for the next try after a failure.
    cache = _ivy_cache() / conf
    cache.mkdir(parents=True, exist_ok=True)
    command = [str(find_java()), "-jar", str(_ivy_jar()), "-ivy", str(DECLARATION), "-cache", str(cache)]
    settings = os.environ.get("FINK_IVY_SETTINGS")
    command += ["-settings", settings] if settings else []
    # Type "jar" alone would drop the artifacts that are packed as OSGi bundles, snappy-java among them.
    command += ["-types", "jar", "bundle", "-confs", conf]
    command += ["-retrieve", str(target / "[conf]" / "[artifact]-[revision].[ext]")]
    with log.open("wb") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)


def _follow(children: Iterable[subprocess.Popen[bytes]], logs: Iterable[Path], report: Report) -> None:
    """Tell how far the downloads are, until all have ended."""
    told_s = time.monotonic()
    while any(child.poll() is None for child in children):
        time.sleep(0.2)
        if time.monotonic() - told_s >= _REPORT_S:
            told_s = time.monotonic()
            text = "".join(log.read_text(errors="replace") for log in logs)
            modules, files = text.count("\tfound "), text.count("[SUCCESSFUL ]")
            report(f"jars: {modules} modules resolved, {files} of {len(read_lock())} files downloaded")


def _stamp_if_whole(place: Path) -> bool:
    """Accept a folder that somebody copied here, if every file is right."""
    try:
        verify(place)
    except ConfigError:
        return False
    write_json(place / _STAMP, {"lock": _digest(LOCK), "files": len(read_lock())})
    return True


def _jars(folder: Path) -> list[str]:
    return [f"{conf}/{jar.name}" for conf in CONFS for jar in (folder / conf).glob("*.jar")]


def _ivy_jar() -> Path:
    spec = importlib.util.find_spec("pyspark")  # found, not imported: that would take a second
    if spec is None or spec.origin is None:
        raise ConfigError("PySpark is not installed in this Python; run `make setup`")
    jars = sorted((Path(spec.origin).parent / "jars").glob("ivy-*.jar"))
    if not jars:
        raise ConfigError("this PySpark ships no Ivy; install the version that requirements.lock names: `make setup`")
    return jars[0]


def _cache_root() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fink"


def _ivy_cache() -> Path:
    return _cache_root() / "ivy"


def _digest(lock: Path) -> str:
    return _sha256(lock)[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(argv: list[str] | None = None) -> int:
    """Command line: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m fink_lib.runtime.artifacts")
    parser.add_argument("--lock", action="store_true", help="fetch what jars.xml asks for and write jars.sha256")
    arguments = parser.parse_args(argv)

    def report(line: str) -> None:
        print(line, flush=True)

    try:
        find_java()
        if arguments.lock:
            write_lock(report)
        ensure_jars(report)
    except FinkError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
