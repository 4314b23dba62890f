"""validate: the gate between the streams' work and the archive.

1. SQL beside each suite reduces the whole night to one row of numbers, or to a sample of rows.
2. Great Expectations judges them by the suite's rules; each rule has a reason and a severity.
3. The Data Docs of the night show every rule with what was seen.

A critical failure holds the night for a person. Warnings pass and are told.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fink_lib.config import project_root
from fink_lib.nightly.sql import open_night
from fink_lib.nightly.stage import NightContext, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from fink_lib.lake import Lake

SUITES = ("raw", "science", "science_sample")
SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True)
class Failure:
    """A rule that does not hold.

    Parameters
    ----------
    suite, column, rule : str
        Which one.
    severity : str
        ``critical`` holds the night; ``warning`` and ``info`` are told.
    reason : str
        Why the rule is there.
    seen : str
        Examples of what breaks it.
    """

    suite: str
    column: str
    rule: str
    severity: str
    reason: str
    seen: str

    @property
    def sentence(self) -> str:
        """The failure for a person."""
        return f"{self.suite}.{self.column} is {self.seen}: {self.reason}"


def validate(context: NightContext) -> Verdict:
    """Judge the night by all suites of its survey."""
    folder = suite_folder(context.survey.name)
    frames = frames_of_night(context.lake, context.night, folder)
    docs = context.report_dir / "data_docs"
    context.progress(f"judging {', '.join(frames)}")
    failures, rules = judge(frames, folder, docs, context.night)
    critical = [failure for failure in failures if failure.severity == "critical"]
    details = {
        "rules": rules,
        "failures": [asdict(failure) for failure in failures],
        "critical": len(critical),
        "warnings": len(failures) - len(critical),
        "data_docs": str(docs / "index.html"),
    }
    if critical:
        told = "; ".join(failure.sentence for failure in critical[:3])
        return Verdict(False, f"night {context.night} is held: {told}", details, "held")
    told = (
        f"{rules} rules hold"
        if not failures
        else f"{rules - len(failures)} of {rules} rules hold, none fails critically"
    )
    return Verdict(True, f"night {context.night}: {told}", details)


def suite_folder(survey: str) -> Path:
    """Give the folder of a survey's suites."""
    return project_root() / "expectations" / survey


def frames_of_night(lake: Lake, night: str, folder: Path) -> dict[str, pd.DataFrame]:
    """Compute what each suite judges."""
    session = open_night(lake, night)
    frames = {name: session.sql((folder / f"{name}.sql").read_text()).to_arrow_table() for name in SUITES}
    session.close()
    return {name: table.to_pandas() for name, table in frames.items()}


def judge(
    frames: Mapping[str, pd.DataFrame], folder: Path, docs: Path | None, run_name: str
) -> tuple[list[Failure], int]:
    """Judge frames by the suites of the same names.

    Parameters
    ----------
    frames : mapping
        Suite name to frame; an empty frame breaks no rule.
    folder : Path
        Where the suites are.
    docs : Path, optional
        Folder for the Data Docs, replaced.
    run_name : str
        Name of the run in the Data Docs.

    Returns
    -------
    list of Failure
        Worst first.
    int
        How many rules were judged.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.checkpoint.actions import UpdateDataDocsAction
    from great_expectations.core.run_identifier import RunIdentifier

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    actions: list[Any] = []
    if docs is not None:
        shutil.rmtree(docs, ignore_errors=True)
        context.update_data_docs_site("local_site", _site(docs))
        actions.append(UpdateDataDocsAction(name="docs", site_names=["local_site"]))
    source = context.data_sources.add_pandas("night")
    failures: list[Failure] = []
    rules = 0
    for name, frame in frames.items():
        suite = context.suites.add(gx.ExpectationSuite(**json.loads((folder / f"{name}.json").read_text())))
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("night")
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=name,
                validation_definitions=[definition],
                result_format={"result_format": "SUMMARY"},
                actions=actions,
            )
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": frame}, run_id=RunIdentifier(run_name=run_name))
        for result in (row for value in outcome.run_results.values() for row in value.results):
            rules += 1
            if not result.success:
                failures.append(_failure(name, result))
    failures.sort(key=lambda failure: SEVERITIES.index(failure.severity))
    return failures, rules


def _failure(suite: str, result: Any) -> Failure:
    config = result.expectation_config
    seen = result.result.get("partial_unexpected_list")
    if seen is None:  # the rule itself broke: a missing column, for one
        seen = [info.get("exception_message", "") for info in _exceptions(result.exception_info)]
    told = ", ".join(str(value) for value in seen[:3]) or "wrong"
    return Failure(
        suite,
        config.kwargs.get("column", ""),
        config.type,
        str(getattr(config.severity, "value", config.severity)),
        str((config.meta or {}).get("reason", "")),
        told,
    )


def _exceptions(info: dict[str, Any]) -> list[dict[str, Any]]:
    return [info] if "exception_message" in info else [value for value in info.values() if isinstance(value, dict)]


def _site(folder: Path) -> Any:
    return {
        "class_name": "SiteBuilder",
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
    }
