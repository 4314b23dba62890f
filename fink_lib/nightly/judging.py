"""Judging frames by suites of Great Expectations: what each rule says, and the Data Docs that show it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SEVERITIES = ("critical", "warning", "info")
TOLD = "_told"
"""Ending of the columns that name what a number counts."""


@dataclass(frozen=True)
class Finding:
    """What one rule says of a night.

    Parameters
    ----------
    suite, column, rule : str
        Which rule.
    severity : str
        ``critical`` holds the night; ``warning`` and ``info`` are told.
    reason : str
        Why the rule is there.
    outcome : str
        ``passed``, ``failed``, or ``not applied``: the night has not what the rule needs.
    seen : str
        Examples of what breaks the rule; empty if nothing does.
    value : float or None
        The number judged, of suites that judge numbers.
    needs : str
        What a night must have for the rule to apply; empty if it always does.
    """

    suite: str
    column: str
    rule: str
    severity: str
    reason: str
    outcome: str
    seen: str = ""
    value: float | None = None
    needs: str = ""

    @property
    def name(self) -> str:
        """Suite and column, as people release it."""
        return f"{self.suite}.{self.column}"

    @property
    def sentence(self) -> str:
        """The failure for a person."""
        return f"{self.name} is {self.seen}: {self.reason}"


def judge(frames: Mapping[str, pd.DataFrame], folder: Path, docs: Path | None, run_name: str) -> list[Finding]:
    """Judge frames by the suites of the same names.

    Parameters
    ----------
    frames : mapping
        Suite name to frame: one row of numbers, or a sample of rows. An empty frame breaks no rule.
    folder : Path
        Where the suites are.
    docs : Path, optional
        Folder for the Data Docs, replaced.
    run_name : str
        Name of the run in the Data Docs.

    Returns
    -------
    list of Finding
        One for each rule; failures first, the worst of them first.
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
    found: list[Finding] = []
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
        results = [row for value in outcome.run_results.values() for row in value.results]
        found += [_finding(name, frame, result) for result in results]
    return sorted(found, key=lambda one: (one.outcome != "failed", SEVERITIES.index(one.severity)))


def _finding(suite: str, frame: pd.DataFrame, result: Any) -> Finding:
    config = result.expectation_config
    column = config.kwargs.get("column", "")
    meta = config.meta or {}
    needs = str(meta.get("needs", ""))
    value = _number(frame, column)
    outcome, seen = "passed", ""
    if not result.success:
        outcome, seen = "failed", _seen(frame, column, result)
    elif needs and value is None and len(frame) == 1:
        outcome = "not applied"
    severity = str(getattr(config.severity, "value", config.severity))
    return Finding(suite, column, config.type, severity, str(meta.get("reason", "")), outcome, seen, value, needs)


def _number(frame: pd.DataFrame, column: str) -> float | None:
    if len(frame) != 1 or column not in frame.columns:
        return None
    value = frame[column].iloc[0]
    if value is None or value != value:  # a null, or NaN
        return None
    return float(value) if isinstance(value, (int, float)) or hasattr(value, "item") else None


def _seen(frame: pd.DataFrame, column: str, result: Any) -> str:
    values = result.result.get("partial_unexpected_list")
    if values is None:  # the rule itself broke: a missing column, for one
        values = [info.get("exception_message", "") for info in _exceptions(result.exception_info)]
    text = ", ".join(_word(value) for value in values[:3]) or "wrong"
    told = frame[f"{column}{TOLD}"].iloc[0] if len(frame) == 1 and f"{column}{TOLD}" in frame.columns else None
    return f"{text} ({told})" if isinstance(told, str) and told else text


def _word(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _exceptions(info: dict[str, Any]) -> list[dict[str, Any]]:
    return [info] if "exception_message" in info else [value for value in info.values() if isinstance(value, dict)]


def _site(folder: Path) -> Any:
    return {
        "class_name": "SiteBuilder",
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
    }
