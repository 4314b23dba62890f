"""Telling people: a file, a webhook, a mail. Which ones is a matter of the settings."""

from __future__ import annotations

import json
import smtplib
import urllib.request
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from pathlib import Path

from fink_lib.config import NotifySettings, Settings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.runtime.files import append_json_line
from fink_lib.runtime.outbox import Channel, Message, Outbox

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class FileChannel:
    """Appends one line of JSON for each message."""

    path: Path
    name: str = "file"

    def send(self, message: Message) -> None:
        """Append the message."""
        told = {key: value for key, value in asdict(message).items() if key not in ("taken_by", "troubles")}
        try:
            append_json_line(self.path, {"id": message.id, **told})
        except OSError as error:
            raise TransientError(f"{self.path} cannot be written ({error.strerror})") from error


@dataclass(frozen=True)
class WebhookChannel:
    """Posts ``{"text": …}``, which Slack and its kin understand."""

    url: str
    name: str = "webhook"

    def send(self, message: Message) -> None:
        """Post the message; its id is in the header ``Idempotency-Key``."""
        body = json.dumps({"text": f"*{message.subject}*\n{message.body}"}).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.id}
        request = urllib.request.Request(self.url, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S):
                pass
        except OSError as error:  # refusals of the other side among them
            raise TransientError(f"the webhook did not take it ({error})") from error


@dataclass(frozen=True)
class EmailChannel:
    """Sends a mail through the configured server."""

    settings: NotifySettings
    name: str = "email"

    def send(self, message: Message) -> None:
        """Send the message; its id is the mail's ``Message-ID``."""
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["From"] = self.settings.email_from
        mail["To"] = ", ".join(self.settings.email_to)
        mail["Message-ID"] = f"<{message.id}@fink>"
        mail.set_content(message.body)
        try:
            with smtplib.SMTP(self.settings.smtp_host, self.settings.smtp_port, timeout=TIMEOUT_S) as server:
                if self.settings.smtp_user:
                    server.starttls()
                    server.login(self.settings.smtp_user, self.settings.smtp_password)
                server.send_message(mail)
        except (OSError, smtplib.SMTPException) as error:
            raise TransientError(
                f"the mail server {self.settings.smtp_host}:{self.settings.smtp_port} did not take it ({error})"
            ) from error


def channels_of(settings: Settings) -> dict[str, Channel]:
    """Give the channels that an installation has, by name.

    Raises
    ------
    ConfigError
        If the webhook is no web address.
    """
    chosen: list[Channel] = [FileChannel(settings.home / "outbox" / "notifications.jsonl")]
    notify = settings.notify
    if notify.webhook_url:
        if not notify.webhook_url.startswith(("http://", "https://")):
            raise ConfigError("notify.webhook_url is no web address; it begins with https:// or http://")
        chosen.append(WebhookChannel(notify.webhook_url))
    if notify.email_to:
        chosen.append(EmailChannel(notify))
    return {channel.name: channel for channel in chosen}


def tell(settings: Settings, message: Message) -> bool:
    """Put a message into the outbox and deliver what waits there.

    Parameters
    ----------
    settings : Settings
        The installation.
    message : Message
        What to tell.

    Returns
    -------
    bool
        Whether it is news; a trouble that was told within ``notify.quiet_s`` is counted and not told again.

    Raises
    ------
    TransientError
        If a channel did not take it: it stays in the outbox.
    """
    outbox = Outbox(settings.home)
    news = outbox.put(message, settings.notify.quiet_s)
    outbox.deliver(channels_of(settings))
    return news
