"""``/api/v1/classes``: the names that ``latests`` understands."""

from __future__ import annotations

from typing import Any

from fink_lib.api.class_names import SIMBAD_TITLE, class_names
from fink_lib.api.endpoint import Call, Endpoint


def classes(_: Call) -> dict[str, Any]:
    """Give the names by origin."""
    return class_names()


ENDPOINTS = (
    Endpoint(
        "/api/v1/classes",
        "Names of the classes that alerts can be asked for",
        classes,
        example={
            "Fink classifiers": ["Early SN Ia candidate"],
            "Cross-match with TNS": ["(TNS) SN Ia"],
            SIMBAD_TITLE: ["(SIMBAD) RRLyrae"],
        },
        compatible=True,
        methods=("GET",),
        described=False,
    ),
)
