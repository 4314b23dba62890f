"""The ``fink`` command.

Each module of this package that has a ``register`` function adds commands; a module imports what is heavy inside its
functions, so that ``fink --help`` is there at once.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from fink_lib.config import load_settings
from fink_lib.errors import EXIT_FAILED, EXIT_LOCKED, EXIT_OK, FinkError, LockedError

# These end or look at the supervisor themselves.
_LEAVE_SUPERVISOR = ("up", "down")


def build_app() -> typer.Typer:
    """The application with all commands."""
    app = typer.Typer(
        name="fink",
        help="An astronomical alert broker.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    for module in pkgutil.iter_modules(__path__):
        register = getattr(importlib.import_module(f"{__name__}.{module.name}"), "register", None)
        if register is not None:
            register(app)
    return app


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code: 0 done, 1 failed, 2 wrong usage, 75 locked."""
    try:
        build_app()(args=arguments, prog_name="fink")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_OK
    except FinkError as error:
        if _debug():
            raise
        typer.echo(str(error), err=True)
        return EXIT_LOCKED if isinstance(error, LockedError) else EXIT_FAILED
    except Exception as error:
        if _debug():
            raise
        typer.echo(f"internal error: {type(error).__name__}: {error}; `fink --debug …` shows where", err=True)
        return EXIT_FAILED
    return EXIT_OK


def main() -> None:
    """Entry point of the ``fink`` command."""
    sys.exit(run(sys.argv[1:]))


def _options(
    context: typer.Context,
    home: Annotated[Path | None, typer.Option(help="The installation; $FINK_HOME or ./.fink if not given.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    if home is not None:
        os.environ["FINK_HOME"] = str(home.resolve())
    if debug:
        os.environ["FINK_DEBUG"] = "1"
    if context.invoked_subcommand not in _LEAVE_SUPERVISOR and not context.resilient_parsing:
        _revive_supervisor()


def _revive_supervisor() -> None:
    """Start the services' supervisor again if it was killed; a command that needs no services goes on without."""
    from fink_lib.runtime.supervisor import ensure_supervisor

    try:
        if ensure_supervisor(load_settings()):
            typer.echo("the supervisor of the services was not there; started it again", err=True)
    except FinkError as error:
        typer.echo(f"warning: {error}", err=True)


def _debug() -> bool:
    return bool(os.environ.get("FINK_DEBUG"))
