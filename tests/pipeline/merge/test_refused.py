"""What cannot be merged is refused in one sentence, before anything is written."""

import fcntl
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from facerefs.pipeline.build.build import BuildPlan
from facerefs.pipeline.commands.build import BuildOptions, build_command
from facerefs.pipeline.commands.merge import MergeOptions, merge_command
from facerefs.pipeline.config.config import Config
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.merge.agreement import check_agreement, other_settings
from facerefs.pipeline.merge.originals import open_originals
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.file_names import BUILD_FILE
from facerefs.stages.analyse import Analyse
from facerefs.stages.fetch import Fetch
from facerefs.stages.shard import Shard
from tests.pipeline.folders import contents
from tests.pipeline.merge.toy_build import QUIET


def empty_build(folder: Path, config: Config | None = None, builds: tuple[str, ...] = ()) -> Path:
    plan = BuildPlan("/photos", None, config or Config(), builds)
    Storage(str(folder)).write_text(BUILD_FILE, yaml.safe_dump(plan.tree(), sort_keys=False))
    return folder


def merge(tmp_path: Path, builds: str, out: str, **options: object) -> None:
    places = tuple(str(tmp_path / name) for name in builds.split())
    merge_command(MergeOptions(places, tmp_path / out, **options), QUIET)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("builds", "out", "said"),
    [
        ("a", "out", "at least two builds"),
        ("a a/../a", "out", "named twice"),
        ("a link", "out", "named twice"),
        ("a b", "a", "is a build to merge and --out at once"),
        ("a b", "link", "is a build to merge and --out at once"),
        ("a b", "a/out", "is inside"),
        ("a b", ".", "is inside --out"),
        ("a nothing", "out", "nothing holds no build"),
        ("a b", "out", "is not finished"),
    ],
)
def test_places_that_do_not_fit(builds: str, out: str, said: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        empty_build(tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    before = contents(tmp_path)
    with pytest.raises(UserError, match=said):
        merge(tmp_path, builds, out)
    assert contents(tmp_path) == before


def test_settings_that_decided_photos_and_faces_are_the_same(tmp_path: Path) -> None:
    a = empty_build(tmp_path / "a", replace(Config(), fetch=Fetch(host_rate_per_s=1)))
    b = empty_build(
        tmp_path / "b", replace(Config(), analyse=Analyse(device="cuda"), shard=Shard(val_share=0.2))
    )
    c = empty_build(tmp_path / "c", replace(Config(), analyse=Analyse(crop_size=1024)))
    out = Storage(str(tmp_path / "out"))
    originals = open_originals([str(a), str(b)], out)
    check_agreement(originals, Config())
    assert list(other_settings(originals)) == [
        f"those of {a} count where {b} has others: shard.val_share: 0.05 -> 0.2"
    ]
    with pytest.raises(
        UserError, match=r"/a and .*/c were made with other settings \(analyse.crop_size: 512 -> 1024"
    ):
        check_agreement(open_originals([str(a), str(c)], out), Config())
    with pytest.raises(UserError, match=r"analyse.niqe: True -> False would make them again"):
        merge(tmp_path, "a b", "out", settings=("analyse.niqe=false",))


def test_a_build_that_is_being_written_waits(tmp_path: Path) -> None:
    for name in ("a", "b"):
        empty_build(tmp_path / name)
    with (tmp_path / "b/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"another command is writing to .*/b"):
            merge(tmp_path, "a b", "out")


def test_a_build_in_an_earlier_layout_or_of_another_version_is_brought_up_to_date_first(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        empty_build(tmp_path / name)
    (tmp_path / "b/faces").mkdir()
    (tmp_path / "b/faces/part-1.tar").touch()
    with pytest.raises(
        UserError, match=r"/b is in the layout of an earlier version .* run facerefs build --config"
    ):
        merge(tmp_path, "a b", "out")
    for text in ("", "[", "source: /photos\nconfig: {crawl: {max_bytes: many}}\n"):
        (tmp_path / "b/build.yaml").write_text(text)
        with pytest.raises(UserError, match=r"/b/build.yaml cannot be used"):
            merge(tmp_path, "a b", "out")


def test_a_merged_build_is_not_built_and_a_build_not_merged_into(tmp_path: Path) -> None:
    out = empty_build(tmp_path / "out", builds=("/a", "/b"))
    with pytest.raises(UserError, match="is of a build that was merged: run facerefs merge /a /b --out"):
        build_command(BuildOptions(None, out, config_file=out / BUILD_FILE), QUIET)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/1.jpg").touch()
    with pytest.raises(UserError, match="holds a build that was merged"):
        build_command(BuildOptions(str(tmp_path / "photos"), out, update=True), QUIET)
