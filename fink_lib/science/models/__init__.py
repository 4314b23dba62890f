"""Trained models: artefacts, their use on one thread, their training on simulated alerts."""

from __future__ import annotations

from fink_lib.science.models.artefact import Artefact, Trained, read_artefact, write_artefact
from fink_lib.science.models.calibration import calibrated, calibration_error, fit_isotonic
from fink_lib.science.models.lightcurves import LightCurves, fluxcal, light_curves
from fink_lib.science.models.registry import ModelHandle, model_folders

__all__ = [
    "Artefact",
    "LightCurves",
    "ModelHandle",
    "Trained",
    "calibrated",
    "calibration_error",
    "fit_isotonic",
    "fluxcal",
    "light_curves",
    "model_folders",
    "read_artefact",
    "write_artefact",
]
