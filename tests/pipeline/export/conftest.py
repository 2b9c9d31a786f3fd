"""Small sets to export, made once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.small_set import SMALL, make_samples, write_tables


@pytest.fixture(scope="session")
def one_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEGs, two references, one recipe: 24 samples, of which 6 are of the split test."""
    return _made(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="session")
def two_recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """WebP, masks, two references, two recipes."""
    recipes = ("severe", "moderate")
    return _made(tmp_path_factory.mktemp("two"), masks=True, recipe=recipes, image_format="webp")


def _made(folder: Path, masks: bool = False, **settings: Any) -> Path:
    storage = write_tables(folder, people=8, photos=3, references=2, masks=masks)
    make_samples(storage, replace(SMALL, **settings))
    return folder
