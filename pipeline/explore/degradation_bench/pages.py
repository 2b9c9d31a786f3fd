"""The page of the degradation bench: `/degradation`, and `/degradation/preview` for what the sliders say."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from facerefs.pipeline.config.config import Config, read_config
from facerefs.pipeline.config.renamed_settings import with_new_names
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.explore.degradation_bench.controls import MODES, control_groups, recipe_of
from facerefs.pipeline.explore.degradation_bench.preview import (
    AMPLIFIED,
    data_uri,
    png_uri,
    preview,
    recipe_yaml,
    sample_key,
)
from facerefs.pipeline.explore.explored_build import row_of
from facerefs.pipeline.explore.listing.query import ListQuery
from facerefs.pipeline.explore.pages.posted import posted_object
from facerefs.pipeline.explore.pages.site import Site, html, in_thread
from facerefs.pipeline.explore.views.faces import FACES
from facerefs.pipeline.explore.views.view import ACCEPTED
from facerefs.pipeline.report.sections.facts import read_plan
from facerefs.schemas.arrays import UInt8Image
from facerefs.schemas.theta import describe, from_json
from facerefs.stages.degrade.recipe import Recipe
from facerefs.stages.degrade.recipes import RECIPES
from facerefs.stages.images.encode import decode_image, encode_crop

NAME, TITLE = "degradation", "Degradation bench"
_MOST_SEED = 2**53 - 1  # whole numbers beyond are not exact in a browser


@dataclass(frozen=True)
class Asked:
    """What the sliders say. original: the name of the recipe from which they started."""

    face: str
    seed: int
    recipe: Recipe


def add_routes(app: web.Application, site: Site) -> None:
    """Answer `/degradation` and `/degradation/preview`."""

    async def page(request: web.Request) -> web.Response:
        return html(await in_thread(lambda: _page(site, request.query)))

    async def live(request: web.Request) -> web.Response:
        asked = _asked(site, await posted_object(request))
        return web.json_response(await in_thread(lambda: _live(site, asked)))

    app.router.add_get(f"/{NAME}", page)
    app.router.add_post(f"/{NAME}/preview", live)


def _page(site: Site, query: Mapping[str, str]) -> str:
    config = _config(site)
    recipes = {recipe.name: recipe for recipe in (*config.shard.recipes, *RECIPES.values())}
    recipe = recipes.get(query.get("recipe") or config.shard.recipes[0].name)
    if recipe is None:
        raise UserError(f"there is no recipe {query['recipe'][:80]!r}: choose one of {', '.join(recipes)}")
    faces = site.build.rows(FACES).rows
    face = query.get("face") or _first(site)
    if face is not None and row_of(faces, "id", face) is None:
        raise UserError(f"the build has no face {face[:80]!r}")
    return site.render(
        "degradation_bench.html.j2",
        {
            "here": NAME,
            "face": face,
            "seed": config.shard.seed,
            "recipe": recipe,
            "own_name": recipe.name
            if recipe.name not in RECIPES
            else f"my-{recipe.name.replace('_', '-')}"[:40],
            "recipes": recipes,
            "groups": control_groups(recipe),
            "modes": MODES,
            "amplified": AMPLIFIED,
        },
    )


def _first(site: Site) -> str | None:
    """The id of the first face that was accepted, else of the first face."""
    faces = site.build.rows(FACES)
    rows = faces.find(ListQuery(choices={"reason": (ACCEPTED,)})).rows or faces.find(ListQuery()).rows
    return str(rows[0]["id"]) if rows else None


def _config(site: Site) -> Config:
    """The configuration of the build: its recipes, its seed, and how it stores the ground truth."""
    return read_config(None, base=dict(with_new_names(read_plan(site.build.storage).get("config") or {})))


def _asked(site: Site, given: Mapping[str, Any]) -> Asked:
    values, name, face, seed = (given.get(key) for key in ("values", "name", "face", "seed"))
    if not isinstance(values, dict) or not isinstance(name, str) or not isinstance(face, str):
        raise UserError("a preview is asked for with a face, a name, a seed and values")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= _MOST_SEED:
        raise UserError(f"the seed is {str(seed)[:40]}: choose a whole number from 0 to {_MOST_SEED}")
    original = given.get("original")
    base = {recipe.name: recipe for recipe in (*_config(site).shard.recipes, *RECIPES.values())}.get(
        str(original)
    )
    recipe = recipe_of(name, values)
    unchanged = base is not None and recipe_of(name, _values(base)) == recipe
    return Asked(face, seed, base if unchanged and base is not None else recipe)


def _values(recipe: Recipe) -> dict[str, Any]:
    """The values of the controls of a recipe, as the page sends them."""
    found: dict[str, Any] = {}
    for group in control_groups(recipe):
        for control in group.controls if group.is_used else ():
            found[control.path] = control.value[0] if control.kind == "number" else list(control.value)
    return found


def _live(site: Site, asked: Asked) -> dict[str, Any]:
    key = sample_key(asked.face, asked.recipe, _config(site).shard)
    made = preview(_truth(site, asked.face), asked.recipe, asked.seed, key)
    kind = "image/jpeg" if made.file_name.endswith("jpg") else "image/png"
    return {
        "degraded": png_uri(made.enlarged),
        "file": data_uri(kind, made.file),
        "difference": png_uri(made.difference),
        "psnr": None if math.isinf(made.psnr_db) else round(made.psnr_db, 2),
        "ssim": round(made.ssim, 4),
        "size_px": made.size_px,
        "bytes": len(made.file),
        "format": made.file_name.rpartition(".")[2],
        "theta": json.loads(made.theta),
        "words": describe(from_json(made.theta)),
        "yaml": recipe_yaml(asked.recipe),
    }


def _truth(site: Site, face: str) -> UInt8Image:
    """The ground truth of a face, as the shards of the build hold it. Raises UserError if its crop is gone."""
    row = row_of(site.build.rows(FACES).rows, "id", face)
    crop = None if row is None else site.pictures.data("face", face, str(row["part"]), site.build.version())
    if crop is None:
        raise UserError(f"the face {face[:80]!r} has no crop in this build: choose another")
    shard = _config(site).shard
    return decode_image(encode_crop(crop, shard.image_format, shard.jpeg_quality))
