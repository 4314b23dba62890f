"""``fink user``: who may read at the broker's listener for users, and what."""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fink_lib.cli.output import show_table
from fink_lib.config import load_settings
from fink_lib.errors import ConfigError

PASSWORD_BYTES = 24

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user: letters, digits, dots and underscores.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the ``fink`` application."""
    group = typer.Typer(help="Readers with a password.", no_args_is_help=True)
    group.command("add")(add)
    group.command("list")(list_)
    group.command("remove")(remove)
    app.add_typer(group, name="user")


def add(
    name: Name,
    topics: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC", help="A topic, or the beginning of names with * behind; several: all of them."),
    ] = None,
    password_from: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its first line is the password (-: standard input).")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Another password and other topics for a user who is there already.")
    ] = False,
    survey: Annotated[str, typer.Option(help="For the line that the user types: ztf or lsst.")] = "ztf",
) -> None:
    """Let somebody read output topics; prints the line with which the user registers."""
    from fink_lib.client.credentials import credentials_path
    from fink_lib.streams.users import add_user, check_name, check_password, readable_topics

    settings = load_settings()
    check_name(name)
    credentials_path(survey)  # refuses a survey that clients do not know
    chosen = readable_topics(settings, topics or ())
    given = None if password_from is None else check_password(_first_line(password_from))
    password = given or secrets.token_urlsafe(PASSWORD_BYTES)
    add_user(settings, name, chosen, password, replace)
    typer.echo(f"user {name} reads {', '.join(chosen)}, in groups called {name} or {name}-…")
    secret = "with the password in place of the dots" if given else "which is shown only now"
    typer.echo(f"the user registers with this line, {secret}:")
    words = ["fink", "client", "register", "--survey", survey, "--username", name, "--groupid", name]
    line = shlex.join([*words, "--servers", settings.kafka.users_server])
    typer.echo(f"FINK_CLIENT_PASSWORD={'...' if given else shlex.quote(password)} {line}")


def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show all users, and what they read."""
    from fink_lib.streams.users import list_users

    users = list_users(load_settings().kafka)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in users], indent=2))
        return
    rows = [[one.name, ", ".join(one.topics), "yes" if one.password else "no"] for one in users]
    show_table("", ("user", "topics", "password"), rows)


def remove(name: Name) -> None:
    """Take a user's password and rights; who is connected is refused too."""
    from fink_lib.streams.users import remove_user

    remove_user(load_settings().kafka, name)
    typer.echo(f"user {name} is removed")


def _first_line(file: Path) -> str:
    try:
        text = sys.stdin.readline() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the password cannot be read from {file} ({error}); name another file") from error
    return text.split("\n", 1)[0].rstrip("\r")
