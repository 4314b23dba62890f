"""Whose output has changed in an alert, and why: by versions, by what it reads, or by neither."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fink_lib.science.base import STATUS_NAMES, Status
from fink_lib.science.declarations import PLACE_COLUMNS, SEPARATION_COLUMN, STATUS_COLUMN
from fink_lib.science.tracklets import NAME as TRACKLETS

if TYPE_CHECKING:
    from fink_lib.science.runner import Runner

CLASS_RULE = "class_rule"
ALERT = "alert"
BROKER = "broker"
TRACKLET_COLUMN = "tracklet"
WAITING = STATUS_NAMES[Status.UNAVAILABLE]
SAME = "same versions and inputs"

Words = Mapping[str, str]


@dataclass(frozen=True)
class Giver:
    """Who gives some columns.

    Parameters
    ----------
    name : str
        Module, ``class_rule``, ``tracklets``, ``broker`` (places on the sky), or ``alert`` (what the survey sent).
    keys : frozenset of str
        Its own entries in ``fink_versions``: itself, its catalogues and models.
    reads : frozenset of str
        Givers that it reads from.
    looks_back : bool
        Whether it reads earlier nights.
    """

    name: str
    keys: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    looks_back: bool = False


class Givers:
    """All givers of a survey's columns.

    Parameters
    ----------
    runner : Runner
        The modules that made the shadow.
    """

    def __init__(self, runner: Runner) -> None:
        self._by_column: dict[str, str] = dict.fromkeys(runner.survey.alert_schema.names, ALERT)
        self._by_column |= dict.fromkeys(PLACE_COLUMNS, BROKER)
        self._by_column[TRACKLET_COLUMN] = TRACKLETS
        self._givers: dict[str, Giver] = {TRACKLETS: Giver(TRACKLETS, frozenset({TRACKLETS}), frozenset({ALERT}))}
        for module in runner.modules:
            declaration = module.declaration
            name = declaration.name
            keys = frozenset({name, *module.resources})
            reads = frozenset({ALERT, BROKER, *declaration.upstream})
            self._givers[name] = Giver(name, keys, reads, declaration.archive_d > 0)
            self._by_column |= dict.fromkeys(declaration.outputs.names, name)
        rule = runner.class_rule
        if rule is not None:
            above = {self._by_column.get(path.split(".", 1)[0], ALERT) for path in rule.inputs} | set(rule.statuses)
            self._givers[CLASS_RULE] = Giver(CLASS_RULE, frozenset(rule.versions), frozenset(above))
            self._by_column |= dict.fromkeys(rule.versions, CLASS_RULE)

    def of(self, columns: Collection[str], statuses: Collection[str], separations: Collection[str]) -> list[str]:
        """Name the givers of what has changed.

        Parameters
        ----------
        columns : collection of str
            Columns that differ.
        statuses, separations : collection of str
            Keys of ``fink_status`` and ``xm_sep`` that differ: each is a module.
        """
        named = {self._by_column.get(name, name) for name in columns if name not in (STATUS_COLUMN, SEPARATION_COLUMN)}
        return sorted(named | set(statuses) | set(separations))

    def causes(self, names: Collection[str], before: Words, after: Words, waited: Collection[str]) -> dict[str, str]:
        """Say of each giver whose output has changed why.

        Parameters
        ----------
        names : collection of str
            What :meth:`of` gave.
        before, after : mapping
            ``fink_versions`` of the alert, live and in the shadow.
        waited : collection of str
            Modules that are ``unavailable`` for it on one of the two sides.
        """
        changed = set(names)
        found: dict[str, str] = {}
        for name in names:
            giver = self._givers.get(name, Giver(name))
            moved = [
                f"{key} {before.get(key, 'none')} -> {after.get(key, 'none')}"
                for key in sorted(giver.keys)
                if before.get(key) != after.get(key)
            ]
            above = sorted(giver.reads & changed - {name})
            if moved:
                found[name] = ", ".join(moved)
            elif above:
                found[name] = f"follows {', '.join(above)}"
            elif name in waited:
                found[name] = f"was or is {WAITING}"
            elif giver.looks_back:
                found[name] = "earlier nights"
            else:
                found[name] = SAME
        return found
