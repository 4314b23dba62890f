"""Notifications: kept before they are sent, told once for each incident, by every channel that is configured."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fink_lib.cli import run
from fink_lib.config import NotifySettings, Settings
from fink_lib.errors import EXIT_FAILED, EXIT_OK, ConfigError, TransientError
from fink_lib.runtime.notify import channels_of, tell
from fink_lib.runtime.outbox import Message, Outbox

QUIET_S = 3600.0
FAILED = Message("nightly_ztf.archive of r1", "Fink: archive failed", "HBase is away", "press Clear", "http://a/log")


@dataclass
class Listener:
    """A channel that may be deaf."""

    name: str = "listener"
    deaf: bool = False
    heard: list[str] = field(default_factory=list)

    def send(self, message: Message) -> None:
        if self.deaf:
            raise TransientError("nobody listens")
        self.heard.append(message.id)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path)


def test_a_trouble_is_told_once_and_counted_when_it_is_met_again(outbox: Outbox) -> None:
    ear = Listener()
    assert outbox.put(FAILED, QUIET_S)
    assert not outbox.put(replace(FAILED, created_s=FAILED.created_s + 60), QUIET_S)
    assert outbox.deliver({"listener": ear}) == 1
    assert outbox.deliver({"listener": ear}) == 0
    assert ear.heard == [FAILED.id]
    assert [one.met for one in outbox.messages()] == [2]


def test_a_trouble_that_stays_is_told_again_after_the_quiet_time(outbox: Outbox) -> None:
    ear = Listener()
    outbox.put(FAILED, QUIET_S)
    outbox.deliver({"listener": ear})
    later = replace(FAILED, created_s=FAILED.created_s + QUIET_S)
    assert outbox.put(later, QUIET_S)
    outbox.deliver({"listener": ear})
    assert ear.heard == [FAILED.id, later.id]


def test_another_incident_is_told_by_itself(outbox: Outbox) -> None:
    outbox.put(FAILED, QUIET_S)
    assert outbox.put(replace(FAILED, incident="nightly_ztf.archive of r2"), QUIET_S)


def test_a_channel_that_refuses_gets_it_later_and_the_others_get_it_now_and_once(outbox: Outbox) -> None:
    deaf, ear = Listener("deaf", deaf=True), Listener()
    channels = {"deaf": deaf, "listener": ear}
    outbox.put(FAILED, QUIET_S)
    with pytest.raises(TransientError, match="deaf: nobody listens"):
        outbox.deliver(channels)
    (waiting,) = outbox.messages()
    assert set(waiting.taken_by) == {"listener"} and waiting.troubles == {"deaf": "nobody listens"}
    deaf.deaf = False
    assert outbox.deliver(channels) == 1
    assert deaf.heard == ear.heard == [FAILED.id]


def test_a_message_is_there_before_anything_is_sent(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    class Deadly(Listener):
        def send(self, message: Message) -> None:
            raise Killed

    with pytest.raises(Killed):
        Outbox(tmp_path).put(FAILED, QUIET_S)
        Outbox(tmp_path).deliver({"deadly": Deadly()})
    ear = Listener()
    assert Outbox(tmp_path).deliver({"listener": ear}) == 1


def test_old_messages_are_forgotten_and_untold_ones_are_not(outbox: Outbox) -> None:
    old = replace(FAILED, created_s=FAILED.created_s - 10 * QUIET_S)
    outbox.put(old, QUIET_S)
    assert outbox.forget(QUIET_S) == 0
    outbox.deliver({"listener": Listener()})
    assert outbox.forget(QUIET_S) == 1
    assert list(outbox.messages()) == []


def test_the_file_gets_everything_also_without_settings(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert tell(settings, FAILED)
    assert not tell(settings, FAILED)
    (line,) = (tmp_path / "outbox" / "notifications.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert (told["subject"], told["next_step"], told["link"]) == (FAILED.subject, "press Clear", "http://a/log")


def test_the_webhook_gets_a_text_with_link_and_next_step(tmp_path: Path) -> None:
    heard: list[tuple[str, dict[str, str]]] = []
    answers = iter([503, 200])

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.append((self.headers["Idempotency-Key"], body))
            self.send_response(next(answers))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(HTTPServer(("127.0.0.1", 0), Hook)) as port:
        settings = Settings(home=tmp_path, notify=NotifySettings(webhook_url=f"http://127.0.0.1:{port}/hook"))
        with pytest.raises(TransientError, match="did not take it"):
            tell(settings, FAILED)
        assert Outbox(tmp_path).deliver(channels_of(settings)) == 1
    assert [key for key, _ in heard] == [FAILED.id] * 2
    assert heard[1][1] == {"text": "*Fink: archive failed*\nHBase is away\n\nNext: press Clear\n\nhttp://a/log"}


def test_a_mail_goes_to_everybody_with_an_id_of_its_own(tmp_path: Path) -> None:
    letters: list[str] = []

    class Post(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline().decode().strip():
                word = line.split()[0].upper()
                if word == "DATA":
                    self.wfile.write(b"354 go on\r\n")
                    letter = []
                    while (text := self.rfile.readline().decode()) != ".\r\n":
                        letter.append(text)
                    letters.append("".join(letter))
                self.wfile.write(b"221 bye\r\n" if word == "QUIT" else b"250 fine\r\n")

    with serving(socketserver.TCPServer(("127.0.0.1", 0), Post)) as port:
        notify = NotifySettings(email_to=("a@x.org", "b@x.org"), smtp_host="127.0.0.1", smtp_port=port)
        tell(Settings(home=tmp_path, notify=notify), FAILED)
    (letter,) = letters
    assert "To: a@x.org, b@x.org" in letter and f"Message-ID: <{FAILED.id}@fink>" in letter
    assert "Next: press Clear" in letter


def test_a_webhook_that_is_no_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="notify.webhook_url"):
        channels_of(Settings(home=tmp_path, notify=NotifySettings(webhook_url="hooks.example")))


def test_the_command_tells_tests_and_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FINK_HOME", str(tmp_path))
    assert run(["notify", "list"]) == EXIT_OK
    assert run(["notify", "test"]) == EXIT_OK
    assert run(["notify", "list", "--json"]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "Nothing was told yet" in printed and "test of notifications" in printed
    (tmp_path / "fink.toml").write_text('[notify]\nwebhook_url = "http://127.0.0.1:9/none"\n')
    assert run(["notify", "deliver"]) == EXIT_FAILED
    assert "did not take it" in capsys.readouterr().err
