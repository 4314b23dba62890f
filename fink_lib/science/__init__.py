"""Science: modules that add value to alerts, the catalogues they use, and the runner that applies them."""

from __future__ import annotations

from fink_lib.science.base import STATUS_NAMES, ContractError, Declaration, ModuleResult, ScienceModule, Status
from fink_lib.science.loading import build_runner, load_modules
from fink_lib.science.runner import Runner, ScienceResult

__all__ = [
    "STATUS_NAMES",
    "ContractError",
    "Declaration",
    "ModuleResult",
    "Runner",
    "ScienceModule",
    "ScienceResult",
    "Status",
    "build_runner",
    "load_modules",
]
