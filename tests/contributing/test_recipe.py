"""A new recipe is one entry; what else it wants, a test says in one sentence."""

import re
from pathlib import Path

import pytest

from tests.contributing.repository import copied

RECIPES = "stages/degrade/recipes.py"
ENTRY = """
    # A recipe as none of ours: motion blur alone, neither resizing nor noise, colours that are never shifted.
    Recipe(
        "fog",
        (
            Pass(
                blur=RandomBlur(BlurKinds(motion=1), taps=IntRange(21, 41), motion_px=Range(1, 21)),
                colour=RandomColour(jitter_chance=0.5),
                jpeg_quality=IntRange(30, 80),
            ),
        ),
    ),"""


@pytest.mark.slow
def test_a_recipe_is_added_as_contributing_tells(tmp_path: Path) -> None:
    repository = copied(tmp_path)
    repository.insert(RECIPES, ENTRY, before="\n)\n\nRECIPES: ")

    frozen = "tests/stages/degrade/test_recipes.py"
    status, said = repository.pytest(frozen, "tests/test_docs.py", "-k", "drew_before or all_recipes")
    assert status == 1
    assert "docs/degradation.md does not list fog: add a line for each" in said
    line = re.search(r'add to FROZEN\n\S*\s*("fog": "[0-9a-f]{64}",)', said)
    assert line, said
    assert "2 failed" in said

    repository.insert(frozen, f"    {line[1]}\n", before='    "gfpgan": ')
    row = "| `fog` | nobody | motion blur, colours, JPEG |\n"
    repository.insert("docs/degradation.md", row, before="| `realesrgan` | Real-ESRGAN")
    repository.add("tests/test_fog.py", "check_fog.py")
    tests = repository.tests_of("RECIPES")
    status, said = repository.pytest(
        *tests, "tests/test_docs.py", "tests/test_fog.py", "-k", "fog or all_recipes"
    )
    assert status == 0, said[-8000:]
    for name in ("parity", "exactly", "gradients", "recipes", "recipe_config", "card", "cycle"):
        assert re.search(rf"PASSED \S*/test_{name}\.py::\S+\[.*fog.*\]", said), f"test_{name} leaves it out"
