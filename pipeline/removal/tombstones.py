"""`removed.json` in a build's folder: what must not come back, as keyed hashes, so that the file names nobody.

A key, URL, host, name or the bytes of a photo are held as HMAC-SHA256 under a key that is drawn for the build: whoever
has the file can ask whether a name is in it, and cannot read it. The perceptual hashes of a photo must be compared by
their bits, so they are stored as they are.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from facerefs.pipeline.errors import RunError
from facerefs.pipeline.storage.file_store import FileStore
from facerefs.schemas.names import name_key, path_key

TOMBSTONES_FILE = "removed.json"
_VERSION = 1
_KINDS = ("keys", "urls", "hosts", "people", "bytes")
_HASH_BYTES = 8 + 8 + 32  # of a photo: perceptual, that of its mirror image, detail
_MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Tombstones:
    """What was removed from a build: keyed hashes by kind, and the perceptual hashes of photos, uint64 (N, 6)."""

    salt: str
    keys: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    bytes: frozenset[str] = frozenset()
    hashes: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, store: FileStore) -> "Tombstones | None":
        """Those of a build; None if nothing was ever removed from it. Raises RunError if the file is damaged."""
        data = store.read_small(TOMBSTONES_FILE, _MAX_BYTES)
        if data is None:
            return None
        try:
            tree = json.loads(data)
            if tree["version"] != _VERSION:
                raise ValueError(f"version {tree['version']}")
            bytes.fromhex(tree["salt"])
            kinds = {kind: frozenset(map(str, tree[kind])) for kind in (*_KINDS, "hashes")}
            if any(len(bytes.fromhex(one)) != _HASH_BYTES for one in kinds["hashes"]):
                raise ValueError("a perceptual hash of another length")
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{store.address}/{TOMBSTONES_FILE} is damaged ({error}): it keeps removed people out of the build, so "
                "put it back from a copy",
                again=False,
            ) from None
        return cls(tree["salt"], **kinds)

    @classmethod
    def new(cls) -> "Tombstones":
        """Those of a build from which nothing was removed yet."""
        return cls(secrets.token_hex(32))

    def write(self, store: FileStore) -> None:
        """Write the file."""
        kinds = {kind: sorted(getattr(self, kind)) for kind in (*_KINDS, "hashes")}
        store.write_text(
            TOMBSTONES_FILE, json.dumps({"version": _VERSION, "salt": self.salt, **kinds}, indent=1)
        )

    def with_photos(self, rows: Iterable[dict[str, Any]]) -> "Tombstones":
        """Also for these photos: rows with `key`, and `url`, `id`, `phash`, `phash_mirror`, `detail_hash` if known."""
        keys, urls, ids, hashes = set(self.keys), set(self.urls), set(self.bytes), set(self.hashes)
        for row in rows:
            keys.add(self.digest("key", path_key(row["key"])))
            if row.get("url"):
                urls.add(self.digest("url", row["url"]))
            if row.get("id"):
                ids.add(self.digest("bytes", row["id"]))
            if row.get("detail_hash") is not None:
                both = np.array([row["phash"], row["phash_mirror"]], "<u8").tobytes()
                hashes.add((both + row["detail_hash"]).hex())
        return replace(
            self, keys=frozenset(keys), urls=frozenset(urls), bytes=frozenset(ids), hashes=frozenset(hashes)
        )

    def with_person(self, name: str) -> "Tombstones":
        """Also for whatever a source lists under this name."""
        return replace(self, people=self.people | {self.digest("person", name_key(name))})

    def with_url(self, url: str) -> "Tombstones":
        """Also for a URL, of a photo or of its page."""
        return replace(self, urls=self.urls | {self.digest("url", url)})

    def with_host(self, host: str) -> "Tombstones":
        """Also for whatever lies on this host, or on one below it."""
        return replace(self, hosts=self.hosts | {self.digest("host", host.lower().rstrip("."))})

    def photo_hashes(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """The perceptual hashes, uint64 (N, 6): of the photo, of its mirror image, and the detail hash."""
        data = b"".join(bytes.fromhex(one) for one in sorted(self.hashes))
        return np.frombuffer(data, "<u8").astype(np.uint64).reshape(-1, _HASH_BYTES // 8)

    def listed(self, rows: pa.Table) -> list[bool]:
        """For each row of `SOURCES` whether it must not be in the build, by its key, URL, page, host or name."""
        columns = (rows[name].to_pylist() for name in ("key", "url", "page", "label"))
        return [self._is_listed(*row) for row in zip(*columns, strict=True)]

    def has_bytes(self, sha256: str | None) -> bool:
        """Whether these are the bytes of a removed photo."""
        return sha256 is not None and self.digest("bytes", sha256) in self.bytes

    def has_url(self, url: str | None) -> bool:
        """Whether a URL was removed, or its host."""
        return bool(url) and (self.digest("url", str(url)) in self.urls or self._is_on_host(str(url)))

    def digest(self, kind: str, text: str) -> str:
        """The keyed hash of a text of one kind."""
        message = f"{kind}\0{text}".encode(errors="surrogateescape")
        return hmac.new(bytes.fromhex(self.salt), message, hashlib.sha256).hexdigest()[:32]

    def _is_listed(self, key: str, url: str | None, page: str | None, label: str | None) -> bool:
        if self.digest("key", path_key(key)) in self.keys or self.has_url(url) or self.has_url(page):
            return True
        return bool(self.people and label) and self.digest("person", name_key(str(label))) in self.people

    def _is_on_host(self, url: str) -> bool:
        if not self.hosts:
            return False
        host = host_of(url)
        names = [] if host is None else host.split(".")
        return any(self.digest("host", ".".join(names[at:])) in self.hosts for at in range(len(names)))


def host_of(url: str) -> str | None:
    """The host of a URL in small letters; None if it has none."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return None
    return None if host is None else host.lower().rstrip(".")
