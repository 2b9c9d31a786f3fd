"""A copy of the repository, in which a contributor works."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FOLDERS = ("pipeline", "stages", "schemas", "trainers", "facerefs", "tests", "benchmarks", "docs")
_OUTPUT = shutil.ignore_patterns("__pycache__", "out", ".*")


@dataclass(frozen=True)
class Repository:
    """Its folder; paths are from there."""

    folder: Path

    def change(self, path: str, change: Callable[[str], str]) -> None:
        """Write a file anew, which must become another."""
        file = self.folder / path
        before = file.read_text(encoding="utf-8")
        after = change(before)
        assert after != before, f"there is no place for it in {path}"
        file.write_text(after, encoding="utf-8")

    def insert(self, path: str, lines: str, before: str) -> None:
        """Write lines before the one place where `before` stands."""
        assert (self.folder / path).read_text(encoding="utf-8").count(before) == 1, (path, before)
        self.change(path, lambda text: text.replace(before, lines + before))

    def add(self, path: str, template: str) -> None:
        """Write a new file, which lies beside this one until then."""
        assert not (self.folder / path).exists()
        shutil.copyfile(Path(__file__).parent / template, self.folder / path)

    def tests_of(self, registry: str) -> list[str]:
        """The files of tests that take what they test from a registry."""
        files = sorted((self.folder / "tests").rglob("test_*.py"))
        return [str(file.relative_to(self.folder)) for file in files if registry in file.read_text("utf-8")]

    def pytest(self, *words: str) -> tuple[int, str]:
        """Status and output of pytest, here."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", *words],
            cwd=self.folder,
            env=ours | {"PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


def copied(folder: Path) -> Repository:
    """A copy of all that is imported, tested or documented."""
    copy = folder / "copy"
    for name in _FOLDERS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=_OUTPUT)
    for file in (*ROOT.glob("*.md"), ROOT / "pyproject.toml"):
        shutil.copyfile(file, copy / file.name)
    return Repository(copy)
