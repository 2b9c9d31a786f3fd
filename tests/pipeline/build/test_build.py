"""What a build may change of an earlier build in the same folder."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from facerefs.pipeline.build.build import BuildPlan, check_output
from facerefs.pipeline.commands.build import BuildOptions, build_command
from facerefs.pipeline.config.config import Config, read_config
from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.file_names import BUILD_FILE
from facerefs.schemas.operations import Range
from facerefs.stages.degrade.recipe import Pass, RandomNoise, Recipe
from facerefs.stages.fetch import Fetch
from facerefs.stages.shard import Shard

OLD = BuildPlan("/photos", None, Config())


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(str(tmp_path))
    storage.write_text(BUILD_FILE, yaml.safe_dump(OLD.tree(), sort_keys=False))
    return storage


def with_fetch(fetch: Fetch) -> BuildPlan:
    return replace(OLD, config=replace(OLD.config, fetch=fetch))


def test_another_request_rate_takes_effect_at_once(storage: Storage) -> None:
    plan = with_fetch(Fetch(contact="a@b.example", host_rate_per_s=1.0))
    assert list(check_output(plan, storage, update=False)) == [
        "fetch.contact: None -> a@b.example",
        "fetch.host_rate_per_s: 10.0 -> 1.0",
    ]


def test_other_memory_takes_effect_at_once(storage: Storage) -> None:
    plan = replace(OLD, config=replace(OLD.config, memory_mb=512))
    assert list(check_output(plan, storage, update=False)) == ["memory_mb: 4096 -> 512"]
    plan = replace(
        OLD, config=replace(OLD.config, shard=replace(OLD.config.shard, contact="ann@example.org"))
    )
    assert list(check_output(plan, storage, update=False)) == ["shard.contact: None -> ann@example.org"]


def test_other_rules_need_update(storage: Storage) -> None:
    plan = with_fetch(Fetch(respect_robots=False, attempts=5))
    with pytest.raises(UserError, match=r"\(fetch.respect_robots: True -> False\): add --update"):
        list(check_output(plan, storage, update=False))
    assert len(list(check_output(plan, storage, update=True))) == 2


def test_a_source_that_has_moved_needs_update(storage: Storage) -> None:
    plan = replace(OLD, source="/pictures")
    with pytest.raises(
        UserError, match=r"holds a build of /photos, not of /pictures: .* add --update, which keeps"
    ):
        list(check_output(plan, storage, update=False))
    assert list(check_output(plan, storage, update=True)) == ["source: /photos -> /pictures"]


def test_the_source_cannot_be_the_folder_of_the_build(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").touch()
    (tmp_path.parent / "link").symlink_to(tmp_path)
    for out in (tmp_path, tmp_path.parent / "link"):
        with pytest.raises(UserError, match="is SOURCE and --out at once"):
            build_command(BuildOptions(str(tmp_path), out), Console(quiet=True))


def test_the_user_agent_names_the_version_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert Fetch().user_agent == f"facerefs/{project['version']} (no contact given)"


@pytest.mark.parametrize("contact", ["me", "a@b\r\nX-Evil: 1", "javascript:alert(1)", "a b@c.example"])
def test_a_contact_is_an_address_or_a_page(contact: str) -> None:
    with pytest.raises(ValueError, match="give a mail address or the URL of a page"):
        Fetch(contact=contact)


def test_a_build_of_another_version_is_updated_or_refused_in_one_sentence(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    tree = OLD.tree()
    tree["config"]["shard"] |= {"samples_per_shard": 256, "image_format": "png"}
    storage.write_text(BUILD_FILE, yaml.safe_dump(tree, sort_keys=False))
    with pytest.raises(
        UserError, match=r"holds a build by another version of facerefs \(.*add --update"
    ) as error:
        list(check_output(OLD, storage, update=False))
    assert "\n" not in str(error.value)
    changes = list(check_output(OLD, storage, update=True))
    assert "shard.samples_per_shard: 256 -> None" in changes
    assert "shard.image_format: png -> jpeg" in changes
    assert len(changes) == 2


def test_a_setting_that_is_new_since_the_build_is_no_change_at_its_default(tmp_path: Path) -> None:
    """Alone, a whole section, within a rule, and within a round of a recipe that is spelled out."""
    storage = Storage(str(tmp_path))
    mild = Recipe("mild", (Pass(noise=RandomNoise(Range(0.0, 5.0))),))
    plan = replace(OLD, config=Config(shard=Shard(recipe=mild)))
    tree = json.loads(json.dumps(plan.tree()))
    config = tree["config"]
    del config["shard"]["shard_mb"], config["commons"], config["copies"]["rule"]["landmarks"]
    del config["shard"]["recipe"]["rounds"][0]["noise"]["gray_chance"]
    storage.write_text(BUILD_FILE, yaml.safe_dump(tree, sort_keys=False))
    assert list(check_output(plan, storage, update=False)) == []
    smaller = replace(plan, config=replace(plan.config, shard=Shard(recipe=mild, shard_mb=64)))
    with pytest.raises(
        UserError, match=r"with another configuration \(shard.shard_mb: 256.0 -> 64\): add --update"
    ):
        list(check_output(smaller, storage, update=False))


def test_a_service_is_not_asked_again_for_a_setting_at_its_default() -> None:
    """A setting that comes new is not in the listing key either."""
    plan = replace(OLD, source="commons:Q7259", config=Config())
    assert yaml.safe_load(plan.listing_key()) == {"source": "commons:Q7259"}
    others = [
        replace(plan, source="commons:Q37103"),
        replace(plan, config=read_config(None, ["rows_per_part=64"])),
        replace(plan, config=read_config(None, ["commons.category_depth=1"])),
    ]
    assert len({one.listing_key() for one in (plan, *others)}) == 4
    unasked = replace(plan, config=read_config(None, ["openverse.category=photograph", "crawl.copy=true"]))
    assert unasked.listing_key() == plan.listing_key()


def test_a_build_with_the_old_names_of_settings_is_read_by_the_new_ones(tmp_path: Path) -> None:
    """`copies.rule` stood twice, in `compare` and in `select`."""
    storage, tree = Storage(str(tmp_path)), OLD.tree()
    rule = tree["config"].pop("copies")["rule"]
    tree["config"]["compare"]["rule"], tree["config"]["select"]["rule"] = dict(rule), dict(rule)
    storage.write_text(BUILD_FILE, yaml.safe_dump(tree, sort_keys=False))
    assert list(check_output(OLD, storage, update=False)) == []
    stricter = replace(OLD, config=read_config(None, ["copies.rule.hash_bits=3"]))
    assert list(check_output(stricter, storage, update=True)) == ["copies.rule.hash_bits: 6 -> 3"]
    tree["config"]["select"]["rule"]["hash_bits"] = 8
    storage.write_text(BUILD_FILE, yaml.safe_dump(tree, sort_keys=False))
    with pytest.raises(
        UserError, match=r"by another version of facerefs \(.*select\.rule\.hash_bits: 8 -> None"
    ):
        list(check_output(OLD, storage, update=False))


@pytest.mark.parametrize("config", ["3", "{1: 2, a: 3}", "[a]", "{shard: 3}"])
def test_any_configuration_in_the_folder_is_compared(config: str, tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write_text(BUILD_FILE, f"source: /photos\nconfig: {config}\n")
    with pytest.raises(UserError, match="by another version of facerefs"):
        list(check_output(OLD, storage, update=False))


@pytest.mark.parametrize("text", ["[" * 5000, "source: [\nconfig: {}\n"])
def test_a_damaged_plan_is_one_sentence(text: str, tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write_text(BUILD_FILE, text)
    with pytest.raises(RunError, match=r"^.* is damaged .*: choose another --out$") as damaged:
        list(check_output(OLD, storage, update=True))
    assert not damaged.value.again
