"""What `import facerefs` offers, and what it costs."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import facerefs

ROOT = Path(__file__).parents[2]


def names_for_type_checkers() -> dict[str, str]:
    """The module of each name that `facerefs/__init__.py` imports for mypy and for editors."""
    tree = ast.parse((ROOT / "facerefs" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_type_checkers_and_python_find_the_same_names() -> None:
    names = names_for_type_checkers()
    assert sorted(names) == sorted(facerefs.__all__)
    for name, module in names.items():
        assert getattr(facerefs, name) is getattr(import_module(module), name)


def test_every_name_has_a_docstring() -> None:
    assert [name for name in facerefs.__all__ if not getattr(facerefs, name).__doc__] == []


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'facerefs' has no attribute 'bild'"):
        facerefs.bild  # noqa: B018


def test_the_import_is_light() -> None:
    code = (
        "import sys, facerefs\n"
        "heavy = {'torch', 'ray', 'numpy', 'pyarrow', 'rich', 'yaml', 'typer'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_the_documentation_has_every_name() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert [name for name in facerefs.__all__ if f"`{name}" not in page] == []
