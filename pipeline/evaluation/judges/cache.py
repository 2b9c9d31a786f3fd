"""What networks have made of images, kept on disk by the network and the SHA-256 of what it saw."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from facerefs.pipeline.errors import UserError

_AT_ONCE = 500  # SQLite takes 999 arguments
_TIMEOUT_S = 60.0


def default_folder() -> Path:
    """The folder `facerefs/evaluate` in the user's cache folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches, "facerefs", "evaluate")


def digest_of(*parts: Tensor | str) -> str:
    """SHA-256 of tensors, with their shapes, and texts."""
    hasher = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            hasher.update(part.encode() + b"\0")
            continue
        hasher.update(repr((tuple(part.shape), str(part.dtype))).encode())
        hasher.update(np.ascontiguousarray(part.detach().cpu().numpy()).data)
    return hasher.hexdigest()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FigureCache:
    """Arrays by network and digest, in one SQLite file that several processes may use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found = self.made = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(folder / "figures.sqlite", timeout=_TIMEOUT_S)
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS figures "
                "(network TEXT, digest TEXT, value BLOB, PRIMARY KEY (network, digest)) WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"the cache {folder} cannot be used ({error}): delete it, or give another --cache"
            ) from None

    def find(
        self, network: str, digests: Sequence[str], dtype: npt.DTypeLike
    ) -> dict[str, npt.NDArray[np.floating]]:
        """The arrays (D,) that are known, by digest."""
        known: dict[str, npt.NDArray[np.floating]] = {}
        unique = list(dict.fromkeys(digests))
        for first in range(0, len(unique), _AT_ONCE):
            some = unique[first : first + _AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT digest, value FROM figures WHERE network = ? AND digest IN ({marks})"  # noqa: S608
            for digest, value in self._file.execute(query, (network, *some)):
                known[digest] = np.frombuffer(value, dtype)
        self.found += sum(digest in known for digest in digests)
        return known

    def keep(self, network: str, values: Mapping[str, npt.NDArray[np.floating]]) -> None:
        """Keep arrays; those of the same digest are the same."""
        rows: Iterable[tuple[str, str, bytes]] = (
            (network, digest, value.tobytes()) for digest, value in values.items()
        )
        with self._file:
            self._file.executemany("INSERT OR IGNORE INTO figures VALUES (?, ?, ?)", rows)
        self.made += len(values)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
