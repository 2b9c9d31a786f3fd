"""The configuration: what is right comes back, what is wrong ends in one sentence that names it."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from facerefs.pipeline.build.build import BuildPlan
from facerefs.pipeline.config.config import Config, read_config, to_tree
from facerefs.pipeline.config.read_settings import differences, read_settings
from facerefs.pipeline.config.renamed_settings import RENAMED
from facerefs.pipeline.errors import UserError
from facerefs.stages.copies.copy_rule import CopyRule
from facerefs.stages.select import Select


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = read_config(None, ["analyse.crop_size=1024", "cluster.labels=ignore", "shard.seed=7"])
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(to_tree(config)))
    assert read_config(tmp_path / "c.yaml") == config
    assert config.analyse.crop_size == 1024


def test_settings_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("select: {references: 3}\nshard: {seed: 5}\n")
    config = read_config(tmp_path / "c.yaml", ["select.references=2"])
    assert (config.select.references, config.shard.seed) == (2, 5)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("analyse.crop=512", "did you mean `analyse.crop_size`"),
        ("anlyse.crop_size=512", "did you mean `analyse`"),
        ("analyse.crop_size=500", "`analyse.crop_size` cannot be 500"),
        ("shard.val_share=2", "`shard.val_share` cannot be 2"),
        ("shard.shard_mb=many", "`shard.shard_mb` cannot be 'many'"),
        ("analyse=512", "holds several settings"),
        ("analyse.crop_size", "has no `=`"),
        ("analyse.max_niqe=.nan", "`analyse.max_niqe` cannot be nan"),
        ("analyse.detector_weights=x", "dlib's HOG has none to choose"),
        ("crawl.version=3", "there is no setting `crawl.version`"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, said: str) -> None:
    with pytest.raises(UserError, match=said.replace("(", r"\(")):
        read_config(None, [setting])


@dataclass(frozen=True)
class _Place:
    name: str = "here"
    side_px: int | None = 3


def test_nothing_after_the_sign_is_an_empty_text_or_no_value() -> None:
    """A shell takes the quotes from `--set name=''`."""
    assert read_settings(_Place, "name=x", settings=["name=", "side_px="]) == _Place("", None)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "shard: {seed: 1, seed: 2}",
        "- 1\n- 2",
        "just text",
        "analyse: {crop_sise: 3}",
        "\x00",
        "a: &a [*a]",
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        read_config(tmp_path / "c.yaml")
    assert "\n" not in str(error.value)


def test_a_kilobyte_that_is_a_tree_of_terabytes_is_one_short_sentence(tmp_path: Path) -> None:
    lines = [f"    - &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    (tmp_path / "c.yaml").write_text("\n".join(["shard:", "  seed:", "    - &a0 [x, x]", *lines]))
    with pytest.raises(UserError, match=r"`shard[.]seed` cannot be") as error:
        read_config(tmp_path / "c.yaml")
    assert len(str(error.value)) < 300


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("!!python/object/apply:os.system ['touch hacked']")
    with pytest.raises(UserError):
        read_config(tmp_path / "c.yaml")
    assert not Path("hacked").exists()


@given(st.text(max_size=60))
def test_any_setting_is_taken_or_refused_in_words(setting: str) -> None:
    try:
        config = read_config(None, [setting])
    except UserError:
        return
    assert isinstance(config, Config)


def test_differences_name_the_settings() -> None:
    old, new = to_tree(read_config(None)), to_tree(read_config(None, ["shard.seed=3"]))
    assert differences(old, new) == ["shard.seed: 0 -> 3"]


def test_the_rule_of_copies_is_that_of_every_stage_that_asks() -> None:
    config = read_config(None, ["copies.rule.hash_bits=3"])
    assert config.compare.rule == config.select.rule == config.copies.rule == CopyRule(hash_bits=3)
    assert replace(config, select=Select(rule=CopyRule(hash_bits=9))).select.rule.hash_bits == 3
    assert to_tree(config)["compare"] == {"neighbours": 8}


@pytest.mark.parametrize("old", ["compare.rule", "select.rule"])
def test_an_old_name_of_a_setting_is_answered_by_the_new_one(old: str, tmp_path: Path) -> None:
    said = rf"there is no setting `{old}` any more: it is now `copies\.rule`"
    with pytest.raises(UserError, match=said):
        read_config(None, [f"{old}.hash_bits=3"])
    section, _, name = old.partition(".")
    (tmp_path / "c.yaml").write_text(f"{section}: {{{name}: {{hash_bits: 3}}}}")
    with pytest.raises(UserError, match=said):
        read_config(tmp_path / "c.yaml")


def test_every_new_name_of_a_setting_is_one() -> None:
    for old, new in RENAMED.items():
        group = to_tree(Config())
        for name in new.split("."):
            assert name in group, f"{old} is said to be {new} now"
            group = group[name]


def test_the_file_that_a_build_writes_is_a_configuration(tmp_path: Path) -> None:
    config = read_config(None, ["analyse.crop_size=1024", "cluster.labels=ignore"])
    plan = BuildPlan("/photos", "/names.txt", config)
    (tmp_path / "build.yaml").write_text(yaml.safe_dump(plan.tree(), sort_keys=False))
    assert read_config(tmp_path / "build.yaml") == config
    again = read_config(tmp_path / "build.yaml", ["analyse.crop_size=512"])
    assert again.analyse.crop_size == 512
    assert again.cluster.labels == "ignore"


def test_the_file_of_an_older_build_has_its_settings_under_their_old_names(tmp_path: Path) -> None:
    old = {"source": "/photos", "config": {"select": {"copy_distance": 3}}}
    (tmp_path / "build.yaml").write_text(yaml.safe_dump(old))
    assert read_config(tmp_path / "build.yaml").copies.rule.hash_bits == 3


def test_a_mistake_in_such_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "build.yaml").write_text("source: /photos\nconfig:\n  analyse:\n    crop_sice: 3\n")
    with pytest.raises(UserError, match=r"no setting `analyse\.crop_sice`; did you mean"):
        read_config(tmp_path / "build.yaml")
    (tmp_path / "build.yaml").write_text("source: /photos\nconfig: 3\n")
    with pytest.raises(UserError, match="there is no setting `source`"):
        read_config(tmp_path / "build.yaml")


def test_the_file_of_a_training_run_is_a_configuration_too(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("model: toy\npreset: tiny\ndata: [x]\nsettings:\n  copies: 3\n")

    @dataclass(frozen=True)
    class Toy:
        copies: int = 1

    found = read_settings(Toy, "copies=1", tmp_path / "settings.yaml", record=("settings", "model"))
    assert found == Toy(3)
