"""Convert recipes to and from a manifest (`facerefs.schemas.manifest`), which holds them as plain JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from facerefs.schemas.manifest import Manifest
from facerefs.stages.degrade.recipe import Recipe


@with_config(ConfigDict(extra="forbid", strict=True))
@dataclass(frozen=True)
class _Strict:
    recipe: Recipe


def as_read(recipe: Recipe) -> Recipe:
    """The recipe with whole numbers converted to float in float fields, so that it is written as it was read."""
    return TypeAdapter(Recipe).validate_python(asdict(recipe))


def recipe_tree(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values for a manifest."""
    return asdict(as_read(recipe))


def recipe_of(manifest: Manifest) -> Recipe:
    """The recipe in a manifest. Raises ValueError with one sentence if it is not a recipe or is incomplete."""
    try:
        recipe = TypeAdapter(_Strict).validate_json(json.dumps({"recipe": manifest.recipe})).recipe
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(
            f"holds no recipe: {'.'.join(map(str, first['loc']))}: {first['msg']:.200}"
        ) from None
    if _text(asdict(recipe)) != _text(dict(manifest.recipe)):
        raise ValueError("holds a recipe of another version of facerefs")
    return recipe


def _text(tree: dict[str, Any]) -> str:
    return json.dumps(tree, sort_keys=True)
