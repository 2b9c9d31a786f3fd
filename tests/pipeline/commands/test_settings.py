"""`facerefs settings`: what it lists is what there is, each setting with a meaning, and its YAML is the defaults."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from annotated_types import Ge, Gt, Le, Lt

from facerefs.pipeline.commands.settings import settings_command
from facerefs.pipeline.config.config import Config, read_config, to_tree
from facerefs.pipeline.config.describe import Section, Setting, sections_of
from facerefs.pipeline.config.read_settings import read_settings
from facerefs.pipeline.errors import UserError
from facerefs.stages.degrade.recipe import Recipe
from facerefs.trainers.loop.settings import to_dict
from facerefs.trainers.models.catalogue import MODULES, presets

PRESETS = [(model, preset) for model in MODULES for preset in presets(model)]
UNITS = {
    r"_px$": "pixels",
    r"(_s$|seconds)": "second",
    r"_deg$": "degrees",
    r"_mb$": "MB",
    r"bytes$": "bytes",
    r"bits$": "bits",
    r"_share$": "[Ss]hare|shift|change",
    r"(_steps|_every|^every)$": "[Ss]teps",
    r"_cells$": "cells",
}
"""What the meaning of a setting says if the name ends so."""


@dataclass(frozen=True)
class Brush:
    """How it is painted.

    This paragraph is not for the listing.
    """

    width_px: Annotated[float, Gt(0), Lt(9)] = 2.0
    """Width of the brush
    in pixels."""
    colour: Literal["red", "blue", "green"] | None = None
    """Colour of the paint."""


@dataclass(frozen=True)
class Picture:
    """A picture."""

    sides: tuple[Annotated[int, Ge(1)], ...] = (3, 4)
    """Lengths of the sides."""
    wet: bool = True
    recipe: str | Recipe = "thin"
    brush: Brush = Brush()
    share: Annotated[float, Ge(0), Le(1)] = 0.5
    _hidden: int = 3
    frame: int = field(default=1, metadata={"shared": True})


def test_a_setting_is_described_by_its_field() -> None:
    assert sections_of(Picture()) == [
        Section(
            "",
            "A picture.",
            (
                Setting("sides", "list of whole number", "at least 1", [3, 4], "Lengths of the sides."),
                Setting("wet", "true or false", "", True, ""),
                Setting("recipe", "text or recipe", "", "thin", ""),
                Setting("share", "number", "0 to 1", 0.5, ""),
            ),
        ),
        Section(
            "brush",
            "How it is painted.",
            (
                Setting("brush.width_px", "number", "above 0, below 9", 2.0, "Width of the brush in pixels."),
                Setting("brush.colour", "red, blue, green or null", "", None, "Colour of the paint."),
            ),
        ),
    ]


def check_meanings(settings: Any) -> None:
    for section in sections_of(settings):
        assert section.about, f"{section.name} says nothing of itself"
        for setting in section.settings:
            name, meaning = setting.name, setting.meaning
            assert re.fullmatch(r"[A-Z].*\.", meaning), f"{name} has no meaning: {meaning!r}"
            assert not re.search(r"\. [A-Z]", meaning), f"{name} has more than one sentence: {meaning!r}"
            for ending, unit in UNITS.items():
                if re.search(ending, name.rpartition(".")[2]):
                    assert re.search(unit, meaning), f"{name} does not say its unit: {meaning!r}"


def test_every_setting_of_a_build_has_a_meaning_with_its_unit() -> None:
    check_meanings(Config())


@pytest.mark.parametrize("model", MODULES)
def test_every_setting_of_a_model_has_a_meaning_with_its_unit(model: str) -> None:
    check_meanings(presets(model)["paper"])


def leaves(tree: Any, prefix: str = "") -> set[str]:
    """The names of all settings in a tree; a recipe is one."""
    if not isinstance(tree, dict) or "rounds" in tree:
        return {prefix}
    return {
        name
        for key, value in tree.items()
        for name in leaves(value, f"{prefix}.{key}" if prefix else str(key))
    }


@pytest.mark.parametrize("settings", [Config(), *(presets(model)[preset] for model, preset in PRESETS)])
def test_what_is_listed_is_all_that_there_is(settings: Any) -> None:
    listed = [setting.name for section in sections_of(settings) for setting in section.settings]
    tree = to_tree(settings) if isinstance(settings, Config) else to_dict(settings)
    assert len(listed) == len(set(listed))
    assert set(listed) == leaves(tree)


def test_the_yaml_of_a_build_is_read_back_as_the_defaults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings_command([], None, "yaml")
    (tmp_path / "c.yaml").write_text(capsys.readouterr().out)
    assert read_config(tmp_path / "c.yaml") == Config()
    assert yaml.safe_load((tmp_path / "c.yaml").read_text()) == to_tree(Config())
    assert (
        "  # Side length of the aligned crops in pixels. (512 or 1024)\n  crop_size: 512\n"
        in (tmp_path / "c.yaml").read_text()
    )


@pytest.mark.parametrize(("model", "preset"), PRESETS)
def test_the_yaml_of_a_model_is_read_back_as_its_preset(
    model: str, preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings_command(["train", model], preset, "yaml")
    (tmp_path / "c.yaml").write_text(capsys.readouterr().out)
    wanted = presets(model)[preset]
    assert read_settings(type(wanted), "loop.steps=1000", tmp_path / "c.yaml") == wanted
    assert yaml.safe_load((tmp_path / "c.yaml").read_text()) == to_dict(wanted)


def test_the_page_of_the_docs_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    settings_command([], None, "markdown")
    page = Path(__file__).parents[3] / "docs" / "settings.md"
    assert page.read_text() == capsys.readouterr().out, (
        "facerefs settings --format markdown > docs/settings.md"
    )


def test_a_section_alone_and_one_setting_alone(capsys: pytest.CaptureFixture[str]) -> None:
    settings_command(["copies"], None, "table")
    said = capsys.readouterr().out
    assert re.search(r"copies\.rule\.hash_bits +whole number +6 +0 to 64 +Most bits", said)
    assert "analyse." not in said
    settings_command(["analyse.crop_size"], None, "table")
    said = capsys.readouterr().out
    assert re.search(
        r"analyse\.crop_size +512 or 1024 +512 +Side length of the aligned crops in pixels\.", said
    )
    assert "analyse.niqe" not in said
    settings_command(["train", "refine", "losses"], None, "yaml")
    assert set(yaml.safe_load(capsys.readouterr().out)) == {"losses"}


@pytest.mark.parametrize(
    ("words", "preset", "form", "said"),
    [
        (["anlyse"], None, "table", "there is no section `anlyse`; did you mean `analyse`"),
        (["crop_size"], None, "table", "did you mean `analyse.crop_size`"),
        (["xyzzy"], None, "table", "known: folder, columns, commons, openverse, fetch"),
        (["refine"], None, "table", "of the model: facerefs settings train refine"),
        (["compare.rule"], None, "table", "it is now `copies.rule`"),
        (
            ["train"],
            None,
            "table",
            "name the model: facerefs settings train MODEL, and MODEL is refine, rdfr",
        ),
        (["train", "refin"], None, "table", "there is no model 'refin'"),
        (["train", "refine", "loses"], None, "table", "did you mean `losses`"),
        (["train", "refine"], "huge", "table", "refine has no preset 'huge': choose paper, tiny"),
        (["analyse"], "tiny", "table", "--preset applies to a model"),
        (["analyse", "crawl"], None, "table", "one section at a time, not analyse and crawl"),
        ([], None, "toml", "--format cannot be 'toml': choose table, yaml, markdown"),
    ],
)
def test_what_there_is_not_is_one_sentence(
    words: list[str], preset: str | None, form: str, said: str
) -> None:
    with pytest.raises(UserError) as error:
        settings_command(words, preset, form)
    assert said in str(error.value)
