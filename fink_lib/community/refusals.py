"""What users ask for and do not get."""

from __future__ import annotations

from typing import Literal

from fink_lib.errors import ConfigError

Kind = Literal["bad-argument", "not-owner", "not-found", "conflict", "too-large"]


class RefusedError(ConfigError):
    """A request that the user has to change.

    Parameters
    ----------
    kind : Kind
        What is wrong with it.
    sentence : str
        What is wrong, and what would be right.
    argument : str
        The part of the request that is to blame; empty if none is.
    """

    def __init__(self, kind: Kind, sentence: str, argument: str = "") -> None:
        super().__init__(sentence)
        self.kind: Kind = kind
        self.argument = argument


def refuse_argument(name: str, reason: str) -> RefusedError:
    """Make the refusal of an argument; `reason` completes "`name` ..."."""
    return RefusedError("bad-argument", f"`{name}` {reason}", name)
