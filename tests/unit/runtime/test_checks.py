import os
import shutil
import socket
from pathlib import Path

import pytest

from fink_lib.errors import ConfigError
from fink_lib.runtime.services.checks import check_disk, check_port


def test_a_taken_port_names_the_process_and_the_setting() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} is taken by process {os.getpid()} .*another kafka\.port"):
            check_port("127.0.0.1", port, "kafka.port")
    check_port("127.0.0.1", port, "kafka.port")


def test_a_port_whose_last_connections_still_close_is_free() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # the side that closes first keeps the connection in TIME_WAIT
            client.recv(1)
    check_port("127.0.0.1", port, "api.port")


def test_an_address_of_another_machine_names_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:29092 .*correct kafka\.port"):
        check_port("192.0.2.1", 29092, "kafka.port")


def test_a_full_disk_names_the_shortfall(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    check_disk(tmp_path, free // 2)
    with pytest.raises(ConfigError, match=r"only [\d.]+ GB are free on the disk of .*; free \d+ GB, or set FINK_HOME"):
        check_disk(tmp_path, 2 * free)
