"""The docs say what is there: files that exist, code that can be imported, and whole lists."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from facerefs.pipeline.export.layouts import LAYOUTS
from facerefs.schemas.operations import OPERATIONS
from facerefs.schemas.reject import Reject
from facerefs.schemas.sample import IMAGE_TYPES
from facerefs.stages.degrade.recipes import RECIPES
from facerefs.stages.select import Strategy
from facerefs.trainers.models.catalogue import MODULES, presets
from facerefs.trainers.models.model import Restorer
from facerefs.trainers.stream.stream import Sampling

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("facerefs", "pipeline", "stages", "schemas", "trainers", "tests", "benchmarks", "docs")
FILES = [
    path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()
]
RESTORERS = [name for name in MODULES if isinstance(presets(name)["tiny"], Restorer)]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def quoted(text: str) -> list[str]:
    """What stands in backticks, blocks of code apart."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def is_there(words: str) -> bool:
    """Whether a path from the root of the repository, or the name of a file of ours, leads to something."""
    path = Path(words)
    if len(path.parts) > 1:
        return (ROOT / path).exists()
    return any(file.name == words for file in FILES) or (ROOT / path).exists()


@each_page
def test_files_and_folders_that_are_named_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # which says what was
        return
    paths = [
        words
        for words in quoted(page.read_text(encoding="utf-8"))
        if re.fullmatch(r"[\w./-]+", words)
        and "NAME" not in words
        and ((words.partition("/")[0] in FOLDERS and "/" in words) or re.fullmatch(r"\w+\.py", words))
    ]
    missing = [words for words in paths if not is_there(words)]
    assert not missing, f"{page.name} names what does not exist: {', '.join(missing)}"


@each_page
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {link}, which does not exist"
        if heading:
            assert heading in headings(target.read_text(encoding="utf-8")), f"{page.name}: {link}"


def headings(text: str) -> set[str]:
    """As links name them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_what_code_imports_can_be_imported(page: Path) -> None:
    for block in re.findall(
        r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{page.name}: {node.module} has no {alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)


def test_names_that_contributors_are_told_are_in_the_code() -> None:
    code = "\n".join((ROOT / file).read_text(encoding="utf-8") for file in FILES if file.suffix == ".py")
    words = set(re.findall(r"\w+", code))
    names = {
        part
        for one in quoted(text_of("CONTRIBUTING.md"))
        if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(\(\))?", one) and not is_there(one)
        for part in one.removesuffix("()").split(".")
    }
    missing = names - words - {"csv", "ruff"}
    assert not missing, f"CONTRIBUTING.md tells of {', '.join(sorted(missing))}, which no file holds"


# lists that the code holds


def first_cells(text: str, heading: str) -> list[str]:
    """What stands in backticks in the first column of the table whose first row begins with these words."""
    return [name for row in rows(text, heading) for name in quoted(row[0])]


def rows(text: str, heading: str) -> Iterator[list[str]]:
    """The rows of the table whose heading begins with these words, as cells."""
    _, found, after = text.partition(f"\n| {heading} |")
    assert found, f"there is no table that begins with {heading!r}"
    for line in after.splitlines()[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def same(page: str, listed: list[str], known: list[str]) -> None:
    lacking, unknown = sorted(set(known) - set(listed)), sorted(set(listed) - set(known))
    assert not lacking, f"{page} does not list {', '.join(lacking)}: add a line for each"
    assert not unknown, f"{page} lists {', '.join(unknown)}, which no longer exist"
    assert len(listed) == len(known), f"{page} lists something twice"


def test_all_recipes_are_listed() -> None:
    same("docs/degradation.md", first_cells(text_of("docs/degradation.md"), "recipe | of"), list(RECIPES))


def test_all_operations_are_listed() -> None:
    same(
        "docs/degradation.md",
        first_cells(text_of("docs/degradation.md"), "operation | fields"),
        list(OPERATIONS),
    )


def test_all_restorers_are_listed_and_compared() -> None:
    same("README.md", first_cells(text_of("README.md"), "model | input"), RESTORERS)
    (head,) = re.findall(r"^\| \| (\[.+) \|$", text_of("docs/models.md"), re.MULTILINE)
    same("docs/models.md", quoted(head), RESTORERS)


def test_all_other_models_are_told_of() -> None:
    told = set(quoted(text_of("README.md")))
    same("README.md", sorted(told & MODULES.keys()), list(MODULES))


def test_all_layouts_of_exports_are_listed_with_their_splits() -> None:
    text = text_of("docs/exports.md")
    same("docs/exports.md", first_cells(text, "layout | read by"), list(LAYOUTS))
    splits = {quoted(row[0])[0]: row[-1] for row in rows(text, "layout | read by")}
    assert splits == {name: kind.split for name, kind in LAYOUTS.items()}


def test_all_strategies_of_references_are_listed() -> None:
    listed = first_cells(text_of("docs/curation.md"), "strategy | best first")
    same("docs/curation.md", listed, list(get_args(Strategy)))


def test_all_formats_and_samplings_are_told_of() -> None:
    said = " ".join(quoted(text_of("docs/shards.md")))
    assert all(re.search(rf"\b{name}\b", said) for name in IMAGE_TYPES)
    said = " ".join(quoted(text_of("docs/stream.md")))
    assert all(f'"{name}"' in said for name in get_args(Sampling) if name != "sample")  # which is the default


def test_reasons_of_the_web_are_listed_with_their_sentences() -> None:
    reasons = list(Reject)[: list(Reject).index(Reject.UNREADABLE)]
    listed = {
        quoted(name)[0]: (meaning, again)
        for name, meaning, again in rows(text_of("docs/crawl.md"), "reason | meaning")
    }
    same("docs/crawl.md", list(listed), [reason.value for reason in reasons])
    for reason in reasons:
        assert listed[reason.value] == (reason.sentence, "yes" if reason.transient else "no")
