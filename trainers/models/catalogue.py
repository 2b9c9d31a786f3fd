"""The models by name, and their presets: a new model adds its file, and its line here."""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from trainers.models.model import Model

MODULES = {
    "refine": "trainers.models.refine",
    "rdfr": "trainers.models.rdfr",
    "rpf": "trainers.models.rpf",
    "stylegan2": "trainers.models.stylegan2",
    "landmarks": "trainers.models.landmarks",
    "posevaried": "trainers.models.posevaried",
    "ented": "trainers.models.ented",
}


def presets(name: str) -> Mapping[str, Model]:
    """The presets of a model, `paper` and `tiny` among them, by their names. Raises KeyError for an unknown model."""
    return cast(Mapping[str, Model], import_module(MODULES[name]).PRESETS)
