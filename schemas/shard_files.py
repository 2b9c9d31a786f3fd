"""Which files in a folder are shards, where no manifest says so."""

import re
from pathlib import Path

# What browsers and file managers call a second copy: `a (1).tar`, `a copy 2.tar`, `a - Copy.tar`.
_SECOND_COPY = re.compile(r"(.+?)(?: \(\d+\)| - Copy(?: \(\d+\))?| copy(?: \d+)?)\.tar")


def tars_in(folder: Path) -> list[Path]:
    """The tars in a folder, sorted, without hidden files: macOS leaves a `._NAME` beside each file that it copies."""
    return sorted(path for path in folder.glob("*.tar") if is_shard(path.name))


def is_shard(name: str) -> bool:
    """Whether a file with this name is a tar, and not hidden."""
    return name.endswith(".tar") and not name.startswith(".")


def second_copies(tars: list[Path]) -> list[Path]:
    """Those of some tars that are second copies of another one of them, by their names."""
    names = {path.name for path in tars}
    named = ((path, _SECOND_COPY.fullmatch(path.name)) for path in tars)
    return [path for path, match in named if match is not None and f"{match[1]}.tar" in names]
