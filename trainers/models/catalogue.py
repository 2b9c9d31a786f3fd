"""The models by name, and their presets: a new model adds its file, and its line here."""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from facerefs.trainers.models.model import Model

MODULES = {
    "refine": "facerefs.trainers.models.refine",
    "rdfr": "facerefs.trainers.models.rdfr",
    "rpf": "facerefs.trainers.models.rpf.rpf",
    "stylegan2": "facerefs.trainers.models.stylegan2",
    "landmarks": "facerefs.trainers.models.landmarks",
    "posevaried": "facerefs.trainers.models.posevaried",
    "ented": "facerefs.trainers.models.ented",
}


def presets(name: str) -> Mapping[str, Model]:
    """The presets of a model, `paper` and `tiny` among them, by their names. Raises KeyError for an unknown model."""
    return cast(Mapping[str, Model], import_module(MODULES[name]).PRESETS)
