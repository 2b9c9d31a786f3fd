"""A new model is one file and one line; what else it wants, a test says in one sentence."""

import re
from pathlib import Path

import pytest

from tests.contributing.repository import copied

CATALOGUE = "trainers/models/catalogue.py"
MODELS = "docs/models.md"
ROW = "| `blend` (Blend) | degraded face, a reference | the better of two at each place |\n"


@pytest.mark.slow
def test_a_model_is_added_as_contributing_tells(tmp_path: Path) -> None:
    repository = copied(tmp_path)
    repository.add("trainers/models/blend.py", "blend.py")
    catalogue = (repository.folder / CATALOGUE).read_text(encoding="utf-8")
    (line,) = re.findall(r'^ +"refine": .*\n', catalogue, re.MULTILINE)
    repository.insert(CATALOGUE, line.replace("refine", "blend"), before=line)

    status, said = repository.pytest("tests/test_docs.py", "-k", "all_restorers")
    assert status == 1
    assert "README.md does not list blend: add a line for each" in said

    repository.insert("README.md", ROW, before="| `posevaried` (MMRB) |")
    repository.change(MODELS, with_column)
    repository.add("tests/test_blend.py", "check_blend.py")
    tests = repository.tests_of("MODULES")
    status, said = repository.pytest(
        *tests, "tests/test_docs.py", "tests/test_blend.py", "-k", "blend or all_"
    )
    assert status == 0, said[-8000:]
    for name in ("models", "training"):
        assert re.search(rf"PASSED \S*/test_{name}\.py::\S+\[.*blend.*\]", said), f"test_{name} leaves it out"


def with_column(text: str) -> str:
    """The first table of docs/models.md, with a column for blend."""
    lines = text.splitlines(keepends=True)
    top = next(number for number, line in enumerate(lines) if line.startswith("| | ["))
    end = next(number for number in range(top, len(lines)) if not lines[number].startswith("|"))
    cells = ["[`blend`](../trainers/models/blend.py)", "---", *["none"] * (end - top - 2)]
    table = [f"{line.rstrip()} {cell} |\n" for line, cell in zip(lines[top:end], cells, strict=True)]
    return "".join([*lines[:top], *table, *lines[end:]])
