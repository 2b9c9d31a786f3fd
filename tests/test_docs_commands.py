"""Every command of the docs is one that the CLI takes; every page is in the site."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from facerefs.pipeline.cli import app
from tests.docs_lines import DOCS, PAGES, ROOT, Line, lines_of

GENERATED = {"commands.md", "api.md", "tables.md"}
GROUP: Any = typer.main.get_command(app)
LINES = [line for page in PAGES for line in lines_of(page)]
# A line with ... is a pattern, not a command.
COMMANDS = [line for line in LINES if line.words[0] == "facerefs" and "..." not in line.words]


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 80
    programs = {Path(line.words[0]).name for line in LINES}
    assert {"facerefs", "make"} <= programs <= {"facerefs", "make", "python", "pre-commit", "export"}


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: f"{line.page}: {shlex.join(line.words)}")
def test_the_cli_takes_the_command(line: Line) -> None:
    name, *arguments = line.words[1:]
    assert name in GROUP.commands, f"there is no command facerefs {name}"
    GROUP.commands[name].make_context(name, [*arguments])  # refuses what it does not know, without running it


def test_the_cli_refuses_what_is_not_there() -> None:
    with pytest.raises(Exception, match="No such option"):
        GROUP.commands["build"].make_context("build", ["photos/", "--out", "set/", "--colour"])


def test_makes_targets_and_modules_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in LINES:
        if line.words[0] == "make":
            for target in line.words[1:]:
                assert "=" in target or re.search(rf"^{target}:", makefile, re.MULTILINE), line
        elif line.words[:2] == ["python", "-m"] and line.words[2].startswith("benchmarks."):
            path = ROOT / line.words[2].replace(".", "/")
            assert path.is_dir() or path.with_suffix(".py").exists(), line


def test_each_page_is_in_the_nav_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    _, _, nav = text.partition("\nnav:")
    pages = [page for group in yaml.safe_load("nav:" + nav)["nav"] for page in in_group(group)]
    assert sorted(pages) == sorted({*pages}), "a page is in the nav twice"
    there = {page.name for page in DOCS.glob("*.md")} | GENERATED
    assert there - {*pages} == set(), "put the page into a group of the nav in mkdocs.yml"
    assert {*pages} - there == set(), "the nav of mkdocs.yml names a page that does not exist"


def in_group(group: dict[str, Any]) -> list[str]:
    """The pages of a group of the nav, and of the groups within it."""
    pages = []
    for inside in group.values():
        pages += [inside] if isinstance(inside, str) else [page for one in inside for page in in_group(one)]
    return pages


def test_the_site_loads_nothing_from_the_network() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "  font: false" in text
    assert not re.search(r"https?://", text)
    for page in DOCS.glob("*.md"):
        remote = re.findall(
            r"!\[[^\]]*\]\(https?:[^)]+\)|<(?:img|script|link)\b[^>]*https?:", page.read_text()
        )
        assert not remote, f"{page.name} loads {remote}"
