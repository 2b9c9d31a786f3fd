"""Convert recipes to and from a manifest (`facerefs.schemas.manifest`), which holds them as plain JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from facerefs.schemas.manifest import Manifest
from facerefs.stages.degrade.recipe import Recipe


@with_config(ConfigDict(extra="forbid", strict=True))
@dataclass(frozen=True)
class _Strict:
    recipes: tuple[Recipe, ...]


def as_read(recipe: Recipe) -> Recipe:
    """The recipe with whole numbers converted to float in float fields, so that it is written as it was read."""
    return TypeAdapter(Recipe).validate_python(asdict(recipe))


def recipe_tree(recipes: Sequence[Recipe]) -> dict[str, Any] | list[dict[str, Any]]:
    """The recipe, or the list of several, as plain values for a manifest."""
    trees = [asdict(as_read(recipe)) for recipe in recipes]
    return trees if len(trees) > 1 else trees[0]


def recipes_of(manifest: Manifest) -> tuple[Recipe, ...]:
    """The recipes in a manifest. Raises ValueError with one sentence if one is not a recipe or is incomplete."""
    stored = [manifest.recipe] if isinstance(manifest.recipe, Mapping) else list(manifest.recipe)
    try:
        recipes = TypeAdapter(_Strict).validate_json(json.dumps({"recipes": stored})).recipes
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(
            f"holds no recipe: {'.'.join(map(str, first['loc']))}: {first['msg']:.200}"
        ) from None
    if _text([asdict(recipe) for recipe in recipes]) != _text(stored):
        raise ValueError("holds a recipe of another version of facerefs")
    return recipes


def _text(tree: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(tree, sort_keys=True)
