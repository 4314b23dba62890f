"""``fink token``: who may write through the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fink_lib.cli.output import show_table
from fink_lib.config import load_settings

if TYPE_CHECKING:
    from fink_lib.community.store import Store

OPERATOR = "operator"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the ``fink`` application."""
    group = typer.Typer(help="Tokens for writing through the API.", no_args_is_help=True)
    group.command("create")(create)
    group.command("list")(list_)
    group.command("revoke")(revoke)
    group.command("log")(log)
    app.add_typer(group, name="token")


def create(
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Whose it is; what is written belongs to this name.")],
    scope: Annotated[
        list[str], typer.Option(help="annotate, metadata, filter, watchlist, transfer, admin; can be repeated.")
    ],
    days: Annotated[int, typer.Option(help="How long it is good for.")] = 365,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a token; it is shown now and never again."""
    from fink_lib.api.auth.audit import Audit
    from fink_lib.api.auth.tokens import create_token

    now = datetime.now(UTC)
    token, secret = create_token(_store(), owner, scope, now, days, note)
    Audit(load_settings().home).note(
        now,
        "done",
        operation="token create",
        owner=OPERATOR,
        token=token.id,
        reason=f"for {owner}: {' '.join(token.scopes)}",
    )
    if as_json:
        typer.echo(json.dumps({**token.to_json(now), "secret": secret}, indent=2))
        return
    typer.echo(f"token {token.id} of {owner} for {', '.join(token.scopes)}, until {token.expires[:10]}")
    typer.echo("it is shown only now; send it as this header:")
    typer.echo(f"Authorization: Token {secret}")


def list_(as_json: AsJson = False) -> None:
    """Show all tokens, without what makes them work."""
    from fink_lib.api.auth.tokens import list_tokens

    now = datetime.now(UTC)
    tokens = list_tokens(_store())
    if as_json:
        typer.echo(json.dumps([token.to_json(now) for token in tokens], indent=2))
        return
    rows = [
        [one.id, one.owner, " ".join(one.scopes), one.state(now), one.created[:10], one.expires[:10], one.note]
        for one in tokens
    ]
    show_table("", ("token", "owner", "scopes", "state", "created", "expires", "note"), rows)


def revoke(token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, as in the list.")]) -> None:
    """Take a token back; it is refused from now on."""
    from fink_lib.api.auth.audit import Audit
    from fink_lib.api.auth.tokens import revoke_token

    now = datetime.now(UTC)
    gone = revoke_token(_store(), token, now)
    Audit(load_settings().home).note(now, "done", operation="token revoke", owner=OPERATOR, token=gone.id)
    typer.echo(f"token {gone.id} of {gone.owner} is revoked")


def log(
    last: Annotated[int, typer.Option("--last", min=1, help="How many lines.")] = 50, as_json: AsJson = False
) -> None:
    """Show who wrote what through the API, the newest last."""
    from fink_lib.api.auth.audit import Audit

    lines = Audit(load_settings().home).lines()[-last:]
    if as_json:
        typer.echo(json.dumps(lines, indent=2))
        return
    columns = ("time", "owner", "token", "address", "operation", "outcome", "reason")
    show_table("", columns, [[line.get(name, "") for name in columns] for line in lines])


def _store() -> Store:
    from fink_lib.community.store import Store

    return Store(load_settings().home)
