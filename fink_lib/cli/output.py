"""What people see: drawn by rich on a terminal, plain text anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; numbers to the right, with thousands apart on a terminal.

    Parameters
    ----------
    title : str
        Line above it; empty for none.
    columns : sequence of str
        Headings.
    rows : sequence of sequences
        Cells; None is empty.
    """
    numeric = [bool(rows) and all(isinstance(row[place], int | float | None) for row in rows)
               for place in range(len(columns))]  # fmt: skip
    if sys.stdout.isatty():
        _draw(title, columns, rows, numeric)
        return
    if title:
        typer.echo(title)
    cells = [list(columns), *([("" if cell is None else str(cell)) for cell in row] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    for line in cells:
        parts = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        )
        typer.echo("  ".join(parts).rstrip())


@contextmanager
def progress_lines(what: str, to_stderr: bool = False) -> Iterator[Callable[[str], None]]:
    """Show long work line by line, on a terminal with a running mark below.

    Parameters
    ----------
    what : str
        Name of the work.
    to_stderr : bool
        Leave the standard output to the result.

    Yields
    ------
    callable
        Takes one line.
    """
    stream = sys.stderr if to_stderr else sys.stdout
    if not stream.isatty():
        yield lambda line: typer.echo(line, err=to_stderr)
        return
    # rich takes a tenth of a second to import
    from rich.console import Console

    console = Console(stderr=to_stderr)
    with console.status(what) as status:

        def tell(line: str) -> None:
            console.print(line, markup=False, highlight=False)
            status.update(f"{what}: after {line.partition(':')[0]}")

        yield tell


def _draw(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Sequence[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left")
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left")
    for row in rows:
        table.add_row(*(Text(_spelled(cell)) for cell in row))
    Console().print(table)


def _spelled(cell: Any) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)
