"""Finding the modules of a survey, and building their runner once per process.

Every file in ``fink_lib/science/modules`` takes part; there is no list to keep.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from fink_lib.config import Settings, project_root
from fink_lib.errors import ConfigError
from fink_lib.science import modules as package
from fink_lib.science.base import ScienceModule
from fink_lib.science.classes import ClassRule, read_class_rule
from fink_lib.science.runner import Runner
from fink_lib.surveys import get_survey
from fink_lib.surveys.base import Survey


def find_modules(survey: Survey, settings: Settings) -> list[ScienceModule]:
    """Give the modules of a survey, of all files of the package.

    Parameters
    ----------
    survey : Survey
        Whose alerts.
    settings : Settings
        Where catalogues and models are.

    Raises
    ------
    ConfigError
        If a file has no ``build``.
    """
    found: list[ScienceModule] = []
    for info in sorted(iter_modules(package.__path__), key=lambda one: one.name):
        module = import_module(f"{package.__name__}.{info.name}")
        build = getattr(module, "build", None)
        if build is None:
            raise ConfigError(f"{module.__file__} has no build(survey, settings); every science module file needs one")
        found.extend(build(survey, settings))
    return found


def find_class_rule(survey: Survey) -> ClassRule | None:
    """Give the class rule of a survey: ``sql/classes/<survey>.sql``, if there is one."""
    path = project_root() / "sql" / "classes" / f"{survey.name}.sql"
    return read_class_rule(path, (survey.alert_schema, survey.fink_schema)) if path.exists() else None


def build_runner(survey: Survey, settings: Settings) -> Runner:
    """Build the runner of a survey with all its modules.

    Parameters
    ----------
    survey : Survey
        Whose alerts.
    settings : Settings
        The installation.

    Raises
    ------
    ConfigError
        If a module's declaration does not fit.
    """
    return Runner(survey, find_modules(survey, settings), find_class_rule(survey))


_RUNNERS: dict[tuple[str, str], Runner] = {}


def load_modules(survey_name: str, settings: Settings) -> Runner:
    """Give this process's runner of a survey; built at the first call.

    A worker process that is used for many batches maps its catalogues and models once. What travels to it is the name
    and the settings, never the runner.

    Parameters
    ----------
    survey_name : str
        Short name (``ztf``).
    settings : Settings
        The installation.

    Returns
    -------
    Runner

    Raises
    ------
    ConfigError
        If a module's declaration does not fit.
    """
    key = (survey_name, settings.model_dump_json())
    if key not in _RUNNERS:
        runner = build_runner(get_survey(survey_name), settings)
        runner.versions()  # opens, or builds, every catalogue and model now and not within the first batch
        _RUNNERS[key] = runner
    return _RUNNERS[key]
