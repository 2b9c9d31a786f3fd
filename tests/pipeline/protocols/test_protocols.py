"""Protocols: one file, one hash, one set for everybody, and everything else is refused in one sentence."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from facerefs.pipeline.commands.build import BuildOptions, build_command
from facerefs.pipeline.commands.protocols import commands_of
from facerefs.pipeline.config.config import read_config
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.by_protocol import check_networks, protocol_of_set
from facerefs.pipeline.evaluation.evaluate import evaluate_command
from facerefs.pipeline.evaluation.options import EvaluateOptions
from facerefs.pipeline.protocols.apply import check_files, check_unchanged, check_versions, standing
from facerefs.pipeline.protocols.protocol import Judging, as_yaml, read_protocol, shipped
from facerefs.pipeline.storage.folder import Storage
from facerefs.stages.synthetic_people.folder import write_people
from tests.pipeline.folders import contents

RENDERED = read_protocol("rendered")
PIXELS_ONLY = tuple(f"weights.{name}=none" for name in ("identity", "landmarks", "niqe"))


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_protocol_is_of_the_stages_here_and_its_settings_are_known(name: str) -> None:
    protocol = read_protocol(name)
    check_versions(protocol)
    config = read_config(None, under=protocol.tree)
    check_unchanged(protocol, config)
    assert protocol.name == name
    assert commands_of(protocol, name)[-2].startswith(f"facerefs build PHOTOS --protocol {name}")


def test_whatever_decides_about_samples_or_figures_changes_the_hash_and_no_text_for_people() -> None:
    other = {
        "name": "mine",
        "photos": replace(RENDERED.photos, count=41),
        "build": {**RENDERED.build, "shard": {"recipe": "severe"}},
        "stages": RENDERED.stages | {"shard": 1},
        "evaluate": Judging("val"),
    }
    hashes = [replace(RENDERED, **{name: value}).hash for name, value in other.items()]
    assert len({RENDERED.hash, *hashes}) == len(other) + 1
    same = replace(RENDERED, about="else", source="else", photos=replace(RENDERED.photos, about="else"))
    assert same.hash == RENDERED.hash


def test_a_protocol_is_kept_as_yaml(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(as_yaml(RENDERED))
    assert read_protocol(str(path)) == RENDERED


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": None}, "name: input should be a valid string"),
        ({"steps": 3}, "steps: unexpected keyword"),
        ({"stages": {"shard": "two"}}, "stages.shard"),
    ],
)
def test_what_is_no_protocol_is_refused(tmp_path: Path, change: dict[str, object], why: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(as_yaml(RENDERED)) | change))
    with pytest.raises(UserError) as error:
        read_protocol(str(path))
    assert why.lower() in str(error.value).lower()


def test_a_name_that_is_none_lists_those_that_are() -> None:
    with pytest.raises(UserError, match=r"no protocol .render.: choose celeba-test-ref, .*rendered"):
        read_protocol("render")


def test_other_versions_and_settings_are_refused() -> None:
    with pytest.raises(UserError, match="shard 1, here 2"):
        check_versions(replace(RENDERED, stages=RENDERED.stages | {"shard": 1}))
    free = ["memory_mb=512", "fetch.total_timeout_s=9", "shard.contact=ann@example.org"]
    check_unchanged(RENDERED, read_config(None, free, under=RENDERED.tree))
    with pytest.raises(UserError, match=r"leave out what changes shard\.seed: 0 -> 3"):
        check_unchanged(RENDERED, read_config(None, ["shard.seed=3"], under=RENDERED.tree))


def test_the_published_files_are_asked_for_and_no_others_taken(tmp_path: Path) -> None:
    protocol = read_protocol("ffhq-ref")
    with pytest.raises(UserError, match="needs --splits: the folder id_based_ffhq_split"):
        check_files(protocol, {"--pairs": ["pairs.csv"]})
    with pytest.raises(UserError, match="rendered takes no --pairs"):
        check_files(RENDERED, {"--pairs": ["pairs.csv"]})
    pairs = replace(protocol.files[0], sha256="0" * 64)
    (tmp_path / "pairs.csv").write_text("gt_image,ref_image\n")
    with pytest.raises(UserError, match="another file than that of the protocol ffhq-ref for --pairs"):
        check_files(replace(protocol, files=(pairs,)), {"--pairs": [str(tmp_path / "pairs.csv")]})


def test_figures_with_other_weights_are_refused() -> None:
    named = dict(RENDERED.evaluate.networks)
    check_networks(RENDERED, named)
    check_networks(RENDERED, {})  # not computed at all, which is said elsewhere
    with pytest.raises(UserError, match="names other weights: ips with 123456123456, not 55533b28a958"):
        check_networks(RENDERED, named | {"ips": "123456" * 10})


@pytest.mark.slow
def test_the_same_photos_give_everybody_the_same_set_which_is_judged_as_the_protocol_says(
    tmp_path: Path,
) -> None:
    list(write_people(tmp_path / "photos", identities=2, per_identity=3, size_px=640, seed=2026))
    printed = [Console(file=io.StringIO(), soft_wrap=True, markup=False) for _ in range(2)]
    sets = [tmp_path / "one", tmp_path / "two"]
    for out, console in zip(sets, printed, strict=True):
        build_command(BuildOptions(str(tmp_path / "photos"), out, protocol="rendered"), console)
    assert contents(sets[0] / "samples") == contents(sets[1] / "samples")
    assert isinstance(printed[0].file, io.StringIO)
    assert "NOT its photos: 6 photos" in printed[0].file.getvalue()
    photos = replace(RENDERED.photos, count=6)
    assert "compare with those of sets" in standing(replace(RENDERED, photos=photos), Storage.at(sets[0]))
    assert protocol_of_set(str(sets[0] / "samples")) == RENDERED.known_as
    assert protocol_of_set(str(tmp_path / "photos")) is None
    assert protocol_of_set("https://a.example/set/samples") is None

    (sets[1] / "overrides.csv").write_text("decision,what,other,comment\ndrop,person-000/000.jpg,,\n")
    assert "NOT as it says: 1 line of overrides.csv" in standing(RENDERED, Storage.at(sets[1]))
    named = BuildOptions("photos", sets[1], protocol="rendered", labels_file=tmp_path / "names.csv")
    with pytest.raises(UserError, match="leave out --identities"):
        build_command(named, Console(quiet=True))

    options = EvaluateOptions((), str(sets[0]), "rendered", settings=PIXELS_ONLY)
    found = evaluate_command(options, Console(quiet=True))
    assert found.notes[0] == f"judged by the protocol {standing(RENDERED, Storage.at(sets[0]))}"
    assert "NOT its photos: 6 photos" in found.notes[0]
    assert found.samples == 2 * found.people * 3 == 12
    for wrong, why in (
        (replace(options, size_px=64), "at full size"),
        (replace(options, split="val"), "on the split test, not val"),
        (replace(options, settings=("neighbours=5",)), "neighbours: 4 -> 5"),
        (replace(options, settings=("seen_landmarks=truth",)), "seen_landmarks: auto -> truth"),
        (replace(options, protocol="celebref-hq-150"), "is of the protocol rendered"),
    ):
        with pytest.raises(UserError, match=why):
            evaluate_command(wrong, Console(quiet=True))
