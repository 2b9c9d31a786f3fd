"""The keys of the photos of several builds: one key for each photo, also where two builds use the same."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_OTHERS = ("url", "page", "licence", "attribution", "provenance")


@dataclass
class Counts:
    """What became of the photos of one build."""

    photos: int = 0
    same: int = 0  # that an earlier build has, too
    said_otherwise: int = 0  # of those: with another licence, URL and so on
    renamed: int = 0


class Keys:
    """Decides under which key a photo goes on; 32 bytes and the key stay in memory for each photo."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, bytes] | None] = {}  # None: of a photo that was renamed

    def of(
        self, rows: Sequence[dict[str, Any]], ids: dict[str, str | None], prefix: str | None, counts: Counts
    ) -> list[str | None]:
        """The key of each row of `sources`; None for a photo that an earlier build has under the same key.

        That is one with the same bytes, label and box. Another photo with a known key gets the prefix, and a slash.
        prefix: None for the first build. ids: SHA-256 of the bytes of each photo that has any, by key.
        """
        return [self._key(row, ids.get(row["key"]), prefix, counts) for row in rows]

    def _key(self, row: dict[str, Any], image: str | None, prefix: str | None, counts: Counts) -> str | None:
        key = str(row["key"])
        photo, said = _photo(row, image), _digest([row[name] for name in _OTHERS])
        counts.photos += 1
        if prefix is not None and key in self._known:
            known = self._known[key]
            if known is not None and known[0] == photo:
                counts.same += 1
                counts.said_otherwise += known[1] != said
                return None
            while key in self._known:
                key = f"{prefix}/{key}"
            counts.renamed += 1
            self._known[key] = None
            return key
        self._known[key] = (photo, said)
        return key


def _photo(row: dict[str, Any], image: str | None) -> bytes:
    """A digest of what makes a photo the same: its bytes, or without any the place where they should be."""
    place = [row["url"], row["photo"] and row["photo"]["path"]] if image is None else None
    return _digest([image, place, row["label"], row["box"]])


def _digest(values: list[Any]) -> bytes:
    return hashlib.blake2b(repr(values).encode(errors="surrogateescape"), digest_size=16).digest()
