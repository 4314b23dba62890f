"""Which models there are: those of the project, and those that an installation trained for itself.

``<home>/models/<name>`` comes before the project's own artefact of that name. A process opens a model once; a new one
is taken up when the stream starts again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from fink_lib.science.models.artefact import CARD_FILE, PACKAGED, Artefact, read_artefact

LOG = logging.getLogger(__name__)


def model_folders(model_dir: Path) -> dict[str, Path]:
    """Give the folder of every model by name.

    Parameters
    ----------
    model_dir : Path
        Models of the installation (``<home>/models``).
    """
    found: dict[str, Path] = {}
    for root in (PACKAGED, model_dir):
        for card in sorted(root.glob(f"[!.]*/{CARD_FILE}")):
            found[card.parent.name] = card.parent
    return dict(sorted(found.items()))


class ModelHandle:
    """A model that a science module uses.

    Parameters
    ----------
    name : str
        Which model.
    model_dir : Path
        Models of the installation (``<home>/models``).
    """

    def __init__(self, name: str, model_dir: Path) -> None:
        self.name = name
        self._model_dir = model_dir

    @cached_property
    def current(self) -> Artefact | None:
        """The model; ``None`` if there is none, which is logged.

        Raises
        ------
        ConfigError
            If there is one, but damaged.
        """
        folder = model_folders(self._model_dir).get(self.name)
        if folder is None:
            LOG.error("model %s is not there; its scores are unavailable until: fink models train %s", *[self.name] * 2)
            return None
        return read_artefact(folder)

    @property
    def resources(self) -> Mapping[str, str]:
        """Key and value for ``fink_versions``; empty without a model."""
        model = self.current
        return {f"model.{self.name}": model.label} if model else {}
