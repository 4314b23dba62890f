"""Runners of a few modules: a test of one module need not wait for all others."""

from __future__ import annotations

from fink_lib.config import Settings
from fink_lib.science import Runner, ScienceModule
from fink_lib.science.loading import find_modules
from fink_lib.surveys import get_survey


def runner_of(settings: Settings, *names: str) -> Runner:
    """Give a runner of some modules of ZTF and of those that they read from."""
    survey = get_survey("ztf")
    by_name = {module.declaration.name: module for module in find_modules(survey, settings)}
    chosen: dict[str, ScienceModule] = {}
    wanted = list(names)
    while wanted:
        name = wanted.pop()
        if name not in chosen:
            chosen[name] = by_name[name]
            wanted += by_name[name].declaration.upstream
    return Runner(survey, list(chosen.values()))
