"""A user's own recipe in the configuration: it is read, kept, compared, and refused in one sentence that names it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from facerefs.pipeline.config.config import Config, read_config, to_tree
from facerefs.pipeline.config.read_settings import differences
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.storage.fingerprint import stage_digest
from facerefs.schemas.operations import Range
from facerefs.stages.degrade.recipe import (
    BlurKinds,
    FinalPass,
    IntRange,
    Pass,
    RandomBlur,
    RandomNoise,
    RandomResize,
    Recipe,
)
from facerefs.stages.degrade.recipes import RECIPES
from facerefs.stages.shard import Shard
from tests.stages.degrade.any_recipe import recipes

MILD = """
shard:
  recipe:
    name: mild
    rounds:
      - blur: {kinds: {isotropic: 0.7, motion: 0.3}, taps: [21, 21], sigma_px: [0.2, 3], motion_px: [1, 9]}
        resize: {reduction: [1, 4], modes: [area, bilinear]}
        noise: {sigma: [0, 10], gray_chance: 0.4}
        jpeg_quality: [70, 95]
      - resize: {factor: [0.5, 1.2], base_reduction: 2}
    ending: {reduction: 2, sinc_chance: 0.5}
"""
AS_TYPED = Recipe(
    "mild",
    (
        Pass(
            blur=RandomBlur(
                BlurKinds(isotropic=0.7, motion=0.3),
                taps=IntRange(21, 21),
                sigma_px=Range(0.2, 3),
                motion_px=Range(1, 9),
            ),
            resize=RandomResize(reduction=Range(1, 4), modes=("area", "bilinear")),
            noise=RandomNoise(sigma=Range(0, 10), gray_chance=0.4),
            jpeg_quality=IntRange(70, 95),
        ),
        Pass(resize=RandomResize(factor=Range(0.5, 1.2), base_reduction=2)),
    ),
    FinalPass(reduction=2, sinc_chance=0.5),
)


@pytest.fixture
def mild(tmp_path: Path) -> Path:
    path = tmp_path / "mild.yaml"
    path.write_text(MILD)
    return path


def _read(tmp_path: Path, tree: dict[str, Any]) -> Config:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(tree))
    return read_config(tmp_path / "c.yaml")


def test_a_recipe_is_read_as_it_is_written(mild: Path) -> None:
    shard = read_config(mild).shard
    assert (shard.recipe, shard.recipes) == (AS_TYPED, (AS_TYPED,))


def test_a_name_still_is_a_recipe() -> None:
    shard = read_config(None, ["shard.recipe=realesrgan"]).shard
    assert (shard.recipe, shard.recipes) == ("realesrgan", (RECIPES["realesrgan"],))


def test_one_number_of_a_recipe_can_be_set(mild: Path) -> None:
    shard = read_config(mild, ["shard.recipe.ending.reduction=4"]).shard
    assert shard.recipes == (replace(AS_TYPED, ending=FinalPass(reduction=4, sinc_chance=0.5)),)


def test_a_list_holds_names_and_recipes_of_ones_own(mild: Path) -> None:
    assert read_config(None, ["shard.recipe=[moderate,severe]"]).shard.recipe == ("moderate", "severe")
    mild.write_text(MILD.replace("recipe:", "recipe:\n  - severe\n  -").replace("\n    name", " name", 1))
    shard = read_config(mild).shard
    assert shard.recipe == ("severe", AS_TYPED)
    assert _read(mild.parent, to_tree(Config(shard=shard))).shard == shard


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recipe=recipes())
def test_any_recipe_is_kept_as_yaml(recipe: Recipe, tmp_path: Path) -> None:
    config = Config(shard=Shard(recipe=recipe))
    assert _read(tmp_path, to_tree(config)) == config


@pytest.mark.parametrize("name", RECIPES)
def test_our_own_recipes_can_be_written_out(name: str, tmp_path: Path) -> None:
    config = Config(shard=Shard(recipe=RECIPES[name]))
    assert _read(tmp_path, to_tree(config)) == config


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "ending:",
            "endings:",
            "there is no setting `shard.recipe.endings`; did you mean `shard.recipe.ending`?",
        ),
        ("sigma_px", "sigmas_px", "`shard.recipe.rounds.0.blur.sigmas_px`; did you mean"),
        ("motion:", "shake:", "there is no setting `shard.recipe.rounds.0.blur.kinds.shake`"),
        ("    name: mild\n", "", "setting `shard.recipe.name` is missing"),
        ("[0.2, 3]", "[3, 0.2]", "`shard.recipe.rounds.0.blur`: sigma_px is a range [low, high]"),
        ("[0.2, 3]", "[3]", "setting `shard.recipe.rounds.0.blur.sigma_px.1` is missing"),
        ("[0.2, 3]", "wide", "`shard.recipe.rounds.0.blur.sigma_px` cannot be 'wide'"),
        ("[21, 21]", "[20, 21]", "`shard.recipe.rounds.0.blur`: taps has odd ends, but is [20, 21]"),
        ("[70, 95]", "[70.5, 95]", "`shard.recipe.rounds.0.jpeg_quality.0` cannot be 70.5"),
        ("[area, bilinear]", "[nearest]", "`shard.recipe.rounds.0.resize.modes.0` cannot be 'nearest'"),
        ("sinc_chance: 0.5", "sinc_chance: 5", "`shard.recipe.ending`: sinc_chance is from 0 to 1, not 5"),
        ("name: mild", "name: gfpgan", "the recipe gfpgan is facerefs' own and has other numbers"),
        ("name: mild", "name: '| a'", "`shard.recipe`: the name of a recipe is"),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in MILD
    (tmp_path / "c.yaml").write_text(MILD.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        read_config(tmp_path / "c.yaml")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("gfpgen", "setting `shard.recipe` cannot be 'gfpgen': input should be 'gfpgan', 'gfpgan_colour'"),
        ("3", "setting `shard.recipe` cannot be 3: input should be 'gfpgan'"),
        ("[]", "recipe is a list of 1 to 16 recipes, not of 0"),
        ("[severe, severe]", "recipe names severe twice"),
        ("[severe, sever]", "setting `shard.recipe.1` cannot be 'sever': input should be 'gfpgan'"),
        ("{name: a, rounds: []}", "`shard.recipe`: a recipe has 1 to 8 rounds, not 0"),
        ("{name: a, rounds: [blur]}", "`shard.recipe.rounds.0` holds several settings"),
        ("{name: a, rounds: {blur: {}}}", "setting `shard.recipe.rounds` cannot be"),
    ],
)
def test_what_is_no_recipe_is_refused(value: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        read_config(None, [f"shard.recipe={value}"])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_other_numbers_are_another_stage_and_are_named(mild: Path) -> None:
    old, new = read_config(mild), read_config(mild, ["shard.recipe.ending.reduction=4"])
    assert stage_digest(old.shard) != stage_digest(new.shard)
    mild.write_text(yaml.safe_dump(to_tree(old)))
    assert stage_digest(old.shard) == stage_digest(read_config(mild).shard)
    assert differences(to_tree(old), to_tree(new)) == ["shard.recipe.ending.reduction: 2.0 -> 4.0"]
    noisier = replace(AS_TYPED.rounds[0], noise=RandomNoise(sigma=Range(0, 20)))
    other = Config(shard=Shard(recipe=replace(AS_TYPED, rounds=(noisier, AS_TYPED.rounds[1]))))
    assert differences(to_tree(old), to_tree(other)) == [
        "shard.recipe.rounds.0.noise.gray_chance: 0.4 -> 0.0",
        "shard.recipe.rounds.0.noise.sigma: [0.0, 10.0] -> [0, 20]",
    ]


def test_from_a_name_to_a_recipe_is_one_short_difference(mild: Path) -> None:
    (change,) = differences(to_tree(Config()), to_tree(read_config(mild)))
    assert change == "shard.recipe: gfpgan -> mild"
