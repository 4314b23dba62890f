"""One line about each column that the archive serves, kept with the schema in HBase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fink_lib.surveys.ztf_docs import ADDED_DOCS, ORIGINAL_DOCS

if TYPE_CHECKING:
    from fink_lib.surveys.base import Survey


def column_doc(column: str, survey: Survey) -> str:
    """Give what a served column (``family:name``) is; empty if nobody has said it."""
    if survey.name != "ztf":
        return ""
    family, _, name = column.partition(":")
    first, second = (ORIGINAL_DOCS, ADDED_DOCS) if family == "i" else (ADDED_DOCS, ORIGINAL_DOCS)
    return first.get(name) or second.get(name, "")
