"""Every command of the docs is run, in a folder in which the names of the docs exist, unless a table says why not."""

import html
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from facerefs import open_set
from facerefs.pipeline.cli import app
from facerefs.pipeline.explore.server import ExploreOptions
from tests.docs_lines import PAGES, Line, lines_of
from tests.docs_world import write_world
from tests.photo_server import photo_server
from tests.pipeline.explore.opened import opened_with

S3 = "needs a bucket"
WEB = "asks a public service on the web"
MODELS = "needs weights of InsightFace, which are not here"
SIZE = "trains networks of 1024 px"


class NotRun(NamedTuple):
    command: str
    why: str


NOT_RUN = (
    NotRun("build commons:Q76 --out set/ --contact you@example.org", WEB),
    NotRun("build commons:Q76,Q7259 --out set/ --contact you@example.org --set commons.width_px=1280", WEB),
    NotRun("build 'commons:Category:Barack Obama' --out set/ --contact you@example.org", WEB),
    NotRun(
        "build commons:@people.txt --out set/ --contact you@example.org --set 'commons.licences=CC0, CC BY'",
        WEB,
    ),
    NotRun("build 'openverse:Ada Lovelace' --out set/ --contact you@example.org", WEB),
    NotRun("build 'openverse:Ada Lovelace; Grace Hopper' --out set/ --contact you@example.org", WEB),
    NotRun(
        "build openverse:@names.txt --out set/ --contact you@example.org --set openverse.max_photos=60", WEB
    ),
    NotRun("build s3://bucket/people.parquet --out set/", S3),
    NotRun("build s3://photos/people/ --out s3://sets/people --address ray://head:10001", S3),
    NotRun("export s3://bucket/set --to folders --out testset/", S3),
    NotRun("verify s3://sets/people", S3),
    NotRun("train refine --data s3://sets/people --run runs/refine", S3),
    NotRun("calibrate people/ --engines insightface", MODELS),
    NotRun("train rpf --preset paper_refinement --data faces --run stage1", SIZE),
    NotRun(
        "train rpf --preset paper_reference --data people --run stage2 --set weights.refinement=stage1", SIZE
    ),
)
# What is added to commands, so that they are quick or fit a few small photos.
ADDED = {
    "build": (
        "--set",
        "shard.val_share=0.15",
        "--set",
        "shard.test_share=0.15",
        "--set",
        "analyse.niqe=false",
    ),
    "build photos --protocol": (),
    "build vgg_face_dataset/": ("--allow-private-hosts",),
    "evaluate runs/refine": ("--size", "64"),
    "sample photos --identities 10": (
        "--identities",
        "1",
        "--per-identity",
        "2",
        "--size",
        "320",
        "--seed",
        "10",
    ),
    "sample": ("--identities", "4", "--per-identity", "2", "--size", "320", "--seed", "10"),
    "train": (
        "--set",
        "data.workers=0",
        "--set",
        "loop.validation_samples=1",
        "--set",
        "loop.grid_samples=1",
        "--steps",
        "2",
    ),
}
PRIOR = "weights.generator=set/runs/prior/checkpoints/step-{:08d}.pt"
FILLED = {
    "ada/1.jpg": "ada/photos/ada/1.jpg",
    "RUN": "runs/refine",
    "older-set/": "set",
    "BLIND_RUN": "runs/rdfr",
    "DIR": "set",
    "INPUT": "family.jpg",
    "REF": "sharp.jpg",
    PRIOR.format(2000): PRIOR.format(2),
}
NEW = ("--out", "--run")  # what they name is removed first, unless a command goes on with it
GOES_ON = {"--update", "--resume", "--retry"}


def first_of_each(lines: Sequence[Line]) -> Iterator[Line]:
    """The lines without those that say the same as an earlier one, unless the next line goes on with what they make."""
    seen = set()
    for line, after in zip(lines, [*lines[1:], None], strict=True):
        words = tuple(word.rstrip("/") for word in line.words)
        gone_on = after is not None and after.words[:-2] == line.words and after.words[-2] in GOES_ON
        if gone_on or words not in seen:
            yield line
        seen.add(words)


def command_of(line: Line) -> str:
    """The words after `facerefs`, as in the tables."""
    return shlex.join(line.words[1:])


COMMANDS = [
    line
    for page in PAGES
    for line in lines_of(page)
    if line.words[0] == "facerefs" and "..." not in line.words
]
SKIPPED = {one.command for one in NOT_RUN}
RUN = tuple(first_of_each([line for line in COMMANDS if command_of(line) not in SKIPPED]))


def test_what_is_not_run_is_in_the_docs() -> None:
    assert {command_of(line) for line in COMMANDS} >= SKIPPED


@pytest.fixture(scope="module", autouse=True)
def _loaded_once() -> Iterator[None]:
    """Engines are loaded once, and people rendered in this process."""
    from facerefs.pipeline.commands import calibrate as calibrate_command
    from facerefs.pipeline.commands import explore
    from facerefs.stages.copies import calibrate
    from facerefs.stages.synthetic_people import folder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explore, "serve", _looked_at)
        patch.setattr(folder, "ProcessPoolExecutor", lambda workers, context: ThreadPoolExecutor(1))
        patch.setattr(calibrate, "FEWEST_PEOPLE", 4)
        patch.setattr(calibrate, "FEWEST_PHOTOS", 8)
        few = {"mirrored": calibrate_command.AUGMENTATIONS["mirrored"]}
        patch.setattr(calibrate_command, "AUGMENTATIONS", few)
        patch.setattr(folder, "render", cache(folder.render))
        yield


def _looked_at(options: ExploreOptions, _: int, started: Callable[[str], None]) -> None:
    """Explore until every page was looked at; the command itself goes on until somebody ends it."""
    with opened_with(options) as page:
        started(page.address)
        for path in re.findall(r'<li><a href="(/[^"]*)"', page.get("/").text):
            answer = page.get(html.unescape(path))
            assert answer.status == 200, f"{path}: {re.findall('<p class=.empty.>.*', answer.text)}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("world")
    before = Path.cwd()
    os.chdir(folder)
    with photo_server() as web:
        write_world(folder, web, lambda *words: run(words))
        os.chdir(before)
        yield folder


@pytest.mark.parametrize("page", dict.fromkeys(line.page for line in RUN))
def test_the_commands_of_a_page_run(
    page: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "docs"
    shutil.copytree(world, folder, symlinks=True)
    monkeypatch.chdir(folder)
    for line in RUN:
        if line.page == page:
            run(filled(line.words[1:]))
    if page == "quickstart.md":
        assert_restored(folder)


def assert_restored(folder: Path) -> None:
    """The quickstart ends in a picture as large as the photo."""
    with (
        Image.open(folder / "restored.png") as restored,
        Image.open(folder / "photos" / "person-001" / "000.jpg") as photo,
    ):
        assert restored.size == photo.size
        assert len(restored.convert("RGB").getcolors(restored.width * restored.height) or ()) > 100


def filled(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words with names for what stands for any name."""
    key = (
        next(one for split in open_set("set").splits for one in open_set("set").samples(split)).key
        if "KEY" in words
        else ""
    )
    return tuple(key if word == "KEY" else FILLED.get(word, word) for word in words)


def new_of(words: tuple[str, ...]) -> list[str]:
    """The folders that a command makes; those with which it goes on are none."""
    if GOES_ON & set(words) or words[0] == "explore":
        return []
    named = [name for option, name in pairwise(words) if option in NEW]
    return [*named, *words[1:2]] if words[0] == "sample" else named


def added_to(words: tuple[str, ...]) -> tuple[str, ...]:
    """What the longest fitting line of the table adds."""
    fitting = [start for start in ADDED if f"{shlex.join(words)} ".startswith(f"{start} ")]
    return ADDED[max(fitting, key=len)] if fitting else ()


def run(words: tuple[str, ...]) -> Result:
    """Run a command in this folder; it must end well."""
    for name in new_of(words):
        shutil.rmtree(name, ignore_errors=True)
    said = CliRunner().invoke(app, [*words, *added_to(words)])
    assert said.exit_code == 0, f"facerefs {shlex.join(words)}: {said.output} {said.exception!r}"
    return said
