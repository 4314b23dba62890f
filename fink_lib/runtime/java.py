"""The one prerequisite that the project cannot bring itself: a JDK 17 or 21."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from fink_lib.errors import ConfigError

VERSIONS = (17, 21)
_NEXT_STEP = "install a JDK 17 or 21 and put its `java` on PATH, or set JAVA_HOME to it"


def find_java() -> Path:
    """The ``java`` to run everything with: that of ``JAVA_HOME`` if set (as Spark does it), else the one on ``PATH``.

    Raises
    ------
    ConfigError
        If there is none, or if it is not version 17 or 21.
    """
    return _checked(os.environ.get("JAVA_HOME", ""), os.environ.get("PATH", ""))


@lru_cache(maxsize=8)
def _checked(java_home: str, path: str) -> Path:
    if java_home:
        java = Path(java_home) / "bin" / "java"
        if not os.access(java, os.X_OK):
            raise ConfigError(f"JAVA_HOME is {java_home}, but there is no bin/java in it; {_NEXT_STEP}")
    else:
        found = shutil.which("java", path=path)
        if found is None:
            raise ConfigError(f"no java found; {_NEXT_STEP}")
        java = Path(found)
    version = java_version(java)
    if version not in VERSIONS:
        what = f"Java {version}" if version else "not a working Java"
        raise ConfigError(f"{java} is {what}; {_NEXT_STEP}")
    return java


def java_version(java: Path) -> int:
    """Feature release of a ``java`` (8, 11, 17, …); 0 if it does not say."""
    release = java.resolve().parent.parent / "release"
    if release.is_file():
        text = release.read_text(errors="replace")
    else:
        try:
            text = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
        except (OSError, subprocess.TimeoutExpired):
            return 0
    match = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(match.group(1)) if match else 0
