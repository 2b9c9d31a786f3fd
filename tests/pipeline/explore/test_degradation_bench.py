"""The degradation bench: the same bytes as in the shards, and YAML that a build takes."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from facerefs.pipeline.config.config import read_config
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.explore.degradation_bench.controls import control_groups, recipe_of
from facerefs.pipeline.explore.degradation_bench.preview import recipe_yaml, sample_key
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.tar import read_members
from facerefs.stages.degrade.recipes import RECIPES, Recipe
from facerefs.stages.shard import Shard
from tests.pipeline.explore.opened import Opened, opened


def values_of(recipe: Recipe) -> dict[str, Any]:
    """What the page sends if nobody touches a slider."""
    return {
        control.path: control.value[0] if control.kind == "number" else list(control.value)
        for group in control_groups(recipe)
        for control in group.controls
        if group.is_used
    }


def asked(face: str, recipe: Recipe, **changed: Any) -> dict[str, Any]:
    values = values_of(recipe) | changed.pop("values", {})
    return {"face": face, "seed": 0, "name": "mine", "original": recipe.name, "values": values, **changed}


@pytest.fixture(scope="module")
def sample(explored_build: Path) -> dict[str, Any]:
    found: dict[str, Any] = Storage.at(explored_build).scan("samples").to_pylist()[0]
    return found


def test_it_is_the_degraded_face_of_the_build(
    page: Opened, explored_build: Path, sample: dict[str, Any]
) -> None:
    answer = json.loads(page.post("/degradation/preview", asked(sample["target"], RECIPES["gfpgan"])).text)
    files = Storage.at(explored_build).read_blob(**sample["files"])
    assert files is not None
    (lq,) = [data for name, data in read_members(files).items() if ".lq." in name]
    assert base64.b64decode(answer["file"].partition(",")[2]) == lq
    assert answer["theta"] == json.loads(sample["theta"])
    assert answer["yaml"] == "shard:\n  recipe: gfpgan\n"


@pytest.mark.parametrize("name", RECIPES)
def test_the_controls_hold_the_whole_recipe(name: str) -> None:
    recipe = recipe_of("mine", values_of(RECIPES[name]))
    assert (recipe.rounds, recipe.ending) == (RECIPES[name].rounds, RECIPES[name].ending)
    config = read_config(None, base=yaml.safe_load(recipe_yaml(recipe)))
    assert config.shard.recipes == (recipe,)
    config = read_config(None, base=yaml.safe_load(recipe_yaml(RECIPES[name])))
    assert config.shard.recipes == (RECIPES[name],)


def test_a_moved_slider_changes_face_and_yaml(page: Opened, sample: dict[str, Any]) -> None:
    moved = {"rounds/0/noise/sigma": [40, 50], "rounds/0/jpeg_quality": [10, 20]}
    before, after = (
        json.loads(
            page.post("/degradation/preview", asked(sample["target"], RECIPES["gfpgan"], values=values)).text
        )
        for values in ({}, moved)
    )
    assert after["psnr"] < before["psnr"] - 3
    recipe = yaml.safe_load(after["yaml"])["shard"]["recipe"]
    assert recipe["name"] == "mine"
    assert recipe["rounds"][0]["noise"]["sigma"] == [40, 50]
    assert 40 <= next(one["sigma"] for one in after["theta"] if one["op"] == "noise") <= 50
    other = page.post("/degradation/preview", asked(sample["target"], RECIPES["gfpgan"], seed=1)).text
    assert json.loads(other)["theta"] != before["theta"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"values": {"rounds/0/noise/sigma": [9, 1]}}, "sigma"),
        ({"values": {"rounds/0/jpeg_quality": [0, 101]}}, "jpeg_quality"),
        ({"values": {"rounds/0/beauty": 1}}, "beauty"),
        ({"values": {"rounds/x/noise/sigma": [1, 2]}}, "numbered from 0 on"),
        ({"values": {"rounds/0/noise/sigma/0/0/0": 1}}, "no setting"),
        ({"values": []}, "values"),
        ({"name": "gfpgan", "original": "", "values": {"rounds/0/noise/sigma": [1, 2]}}, "another name"),
        ({"name": "Mine!"}, "name of a recipe"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": 2**53}, "seed"),
        (
            {"values": {"rounds/0/blur/taps": [501, 501], "rounds/0/resize/reduction": [0.5, 0.5]}},
            "fewer taps",
        ),
        ({"other_face": "nobody"}, "has no crop"),
    ],
)
def test_what_is_no_recipe_is_said_in_one_sentence(
    page: Opened, sample: dict[str, Any], change: dict[str, Any], sentence: str
) -> None:
    change = dict(change)
    values = change.get("values", {})
    face = change.pop("other_face", sample["target"])
    body = asked(face, RECIPES["gfpgan"], **change) if isinstance(values, dict) else change
    answer = page.post("/degradation/preview", body)
    assert answer.status == 400
    error = json.loads(answer.text)["error"]
    assert sentence in error
    assert "\n" not in error


def test_a_build_with_several_recipes_has_a_sample_for_each() -> None:
    shard = Shard(recipe=("moderate", "severe"))
    assert sample_key("a-0", RECIPES["severe"], shard) == "a-0-severe"
    assert sample_key("a-0", RECIPES["gfpgan"], shard) == "a-0"
    assert sample_key("a-0", RECIPES["gfpgan"], Shard()) == "a-0"


PATHS = st.sampled_from(
    [*values_of(RECIPES["realesrgan"]), "rounds", "ending", "name", "", "rounds/0", "a/b"]
)
VALUES = st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.lists(st.floats(), max_size=3)


@given(st.dictionaries(PATHS, VALUES, max_size=4))
def test_any_values_are_a_recipe_or_refused(values: dict[str, Any]) -> None:
    try:
        recipe = recipe_of("mine", values_of(RECIPES["realesrgan"]) | values)
    except UserError:
        return
    assert recipe_of("mine", values_of(recipe)) == recipe


def test_hidden_faces_are_not_on_the_bench(explored_build: Path) -> None:
    with opened(explored_build, blur=True) as page:
        assert page.get("/degradation").status == 404
        assert "/degradation" not in page.get("/").text
