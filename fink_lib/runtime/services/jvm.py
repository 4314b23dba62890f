"""How the services' JVMs are started."""

from __future__ import annotations

from pathlib import Path

from fink_lib.runtime.java import find_java


def jvm_command(class_path: str, heap: str, main: str, *arguments: str, log_dir: Path, options: list[str]) -> list[str]:
    """A JVM that ends rather than limps: it exits when memory runs out, and its supervisor starts a new one."""
    return [
        str(find_java()),
        f"-Xmx{heap}",
        "-XX:+ExitOnOutOfMemoryError",
        f"-XX:ErrorFile={log_dir}/hs_err_%p.log",
        # A crash in array copies was seen with AVX-512 on OpenJDK 17; other processors do not know the flag.
        "-XX:+IgnoreUnrecognizedVMOptions",
        "-XX:UseAVX=2",
        "-Djava.net.preferIPv4Stack=true",
        "-Djava.awt.headless=true",
        "-Dfile.encoding=UTF-8",
        *options,
        "-cp",
        class_path,
        main,
        *arguments,
    ]
