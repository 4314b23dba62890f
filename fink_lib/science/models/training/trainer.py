"""What a trainer is, and how it is run."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol

from fink_lib.errors import ConfigError
from fink_lib.science.models.artefact import Artefact, Trained
from fink_lib.science.models.simulation.sample import Request, Sample, simulate

Tell = Callable[[str], None]

SEED = 20180601
"""Of the project's own artefacts; the first night of the public survey."""

EVALUATION_SEED = 7
"""Added to a seed for objects that no training has seen."""

LIBRARIES = ("numpy", "scikit-learn", "skl2onnx", "onnx", "onnxruntime", "jax")


class Trainer(Protocol):
    """A model that can be made from simulated alerts.

    Attributes
    ----------
    name : str
        Of the model; the module that uses it opens a ``ModelHandle`` of this name.
    version : str
        Changes with the features, the classes or the method.
    request : Request
        What to simulate for it.
    """

    name: str
    version: str
    request: Request

    def train(self, seed: int, sample: Sample, tell: Tell) -> Trained:
        """Make the model.

        Parameters
        ----------
        seed : int
            Of all draws.
        sample : Sample
            Simulated alerts, to be divided by object (:meth:`Sample.split`).
        tell : callable
            Takes one line of progress.

        Returns
        -------
        Trained
            Its card holds at least ``purpose``, ``features``, ``cuts``, ``limits``.
        """

    def evaluate(self, model: Artefact, sample: Sample) -> Mapping[str, Any]:
        """Give the metrics of a model on alerts that it has not seen: name of a task to :func:`metrics.describe`."""


def known_trainers() -> dict[str, Trainer]:
    """Give all trainers by the name of their model."""
    from fink_lib.science.models import training as package

    found: dict[str, Trainer] = {}
    for info in sorted(iter_modules(package.__path__), key=lambda one: one.name):
        trainer = getattr(import_module(f"{package.__name__}.{info.name}"), "TRAINER", None)
        if trainer is not None:
            found[trainer.name] = trainer
    return found


def choose(names: Sequence[str] | None) -> list[Trainer]:
    """Give the trainers with some names, or all.

    Raises
    ------
    ConfigError
        If a name is unknown.
    """
    known = known_trainers()
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise ConfigError(f"no model is called {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name] for name in names or known]


def train(trainer: Trainer, seed: int, tell: Tell) -> Trained:
    """Simulate, train, measure on objects of another seed, and complete the card.

    Parameters
    ----------
    trainer : Trainer
        Which model.
    seed : int
        Of the simulation and of the training.
    tell : callable
        Takes one line of progress.
    """
    from fink_lib.science.models.artefact import in_memory

    sample = simulate(trainer.request, seed, tell)
    trained = trainer.train(seed, sample, tell)
    tell("measuring: on objects of another seed")
    held_out = held_out_sample(trainer, seed)
    metrics = trainer.evaluate(in_memory(trainer.name, trainer.version, trained), held_out)
    card = {
        **trained.card,
        "licence": "the licence of this project; the training data are simulated by it",
        "command": f"fink models train {trainer.name} --seed {seed}",
        "seed": seed,
        "training_data": describe_sample(trainer.request, sample),
        "held_out_data": describe_sample(trainer.request, held_out),
        "metrics": metrics,
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }
    return Trained(trained.graphs, trained.arrays, card)


def held_out_sample(trainer: Trainer, seed: int) -> Sample:
    """Simulate objects that the training with `seed` did not use, a third as many."""
    request = trainer.request
    fewer = {name: max(count // 3, 1) for name, count in request.objects.items()}
    return simulate(replace(request, objects=fewer), seed + EVALUATION_SEED)


def describe_sample(request: Request, sample: Sample) -> dict[str, Any]:
    """Give what a card says about its data."""
    return {
        "alerts": len(sample),
        "objects": {name: len(set(sample.object_id[sample.kind == name].tolist())) for name in request.objects},
        "sha256": sample.sha256,
        "history_d": request.history_d if request.history_d < 1e6 else None,
    }
