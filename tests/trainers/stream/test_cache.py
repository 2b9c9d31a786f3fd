"""Remote shards: fetched whole, checked, kept under a limit, and never taken away from a reader."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.shards.cache import ShardCache
from facerefs.trainers.stream.shards.reader import ShardReader
from facerefs.trainers.stream.shards.shards import open_shards
from facerefs.trainers.stream.stream import Source, Stream
from tests.photo_server import PhotoServer, photo_server
from tests.trainers.small_shards import collate, files_of, prepare, write_set


@pytest.fixture
def served(tmp_path: Path) -> Iterator[PhotoServer]:
    """A server with a set of three shards of 7 samples, and what it says at /samples/."""
    write_set(tmp_path / "set")
    with photo_server() as server:
        for path in (tmp_path / "set").iterdir():
            server.photos[f"/samples/{path.name}"] = path.read_bytes()
        yield server


def _cache(tmp_path: Path, max_bytes: int = 1 << 30, attempts: int = 4) -> ShardCache:
    return ShardCache(tmp_path / "cache", max_bytes, timeout_s=20, attempts=attempts, pause_s=0.01)


def _held(cache: ShardCache) -> int:
    return sum(path.stat().st_size for path in cache.folder.iterdir())


def test_a_remote_set_gives_the_same_batches_and_is_fetched_once(served: PhotoServer, tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    for _ in range(2):
        remote = Stream([Source(served.url("/samples"))], 6, prepare, collate, seed=3, workers=0, cache=cache)
        local = Stream([Source(tmp_path / "set")], 6, prepare, collate, seed=3, workers=0)
        assert remote.manifest == local.manifest
        for theirs, ours in zip(remote.batches(8), local.batches(8), strict=True):
            assert theirs[:2] == ours[:2]
            assert (theirs[2] == ours[2]).all()
    given = {path.rpartition("/")[2]: count for path, count in served.photos_sent.items() if count}
    assert given.pop("manifest.json") == 2
    assert given == {f"train-{shard:05}.{kind}": 1 for shard in range(3) for kind in ("tar", "parquet")}


@pytest.mark.parametrize("protocol", ["memory", "file"])
def test_other_file_systems_of_fsspec_serve_as_well(tmp_path: Path, protocol: str) -> None:
    address = f"{protocol}://{tmp_path}/set"
    for path in write_set(tmp_path / "set").iterdir():
        if protocol == "memory":
            with fsspec.open(f"{address}/{path.name}", "wb") as file:
                file.write(path.read_bytes())
    shards = open_shards(address, "train", _cache(tmp_path))
    assert dict(ShardReader([shards]).files(0, 9)) == files_of(shards.key(9))


def test_the_cache_stays_under_its_limit_and_forgets_what_was_not_used_for_longest(
    served: PhotoServer, tmp_path: Path
) -> None:
    tar = len(served.photos["/samples/train-00000.tar"])
    indices = sum(len(data) for path, data in served.photos.items() if path.endswith(".parquet"))
    cache = _cache(tmp_path, max_bytes=indices + 2 * tar + tar // 2)
    shards = open_shards(served.url("/samples"), cache=cache)
    reader = ShardReader([shards])
    held = reader.files(0, 0)
    for row in (7, 0, 14):  # shard 1, 0, 2: the first is used again before the third comes
        reader.files(0, row)
        assert _held(cache) <= cache.max_bytes
    kept = {path.name.partition("-")[2] for path in cache.folder.glob("*.tar")}
    assert "train-00000.tar" in kept
    for row in range(21):
        assert dict(reader.files(0, row)) == files_of(shards.key(row))
    assert dict(held) == files_of(shards.key(0))  # from a file that has lost its name by now
    with pytest.raises(StreamError, match="the cache holds 1000: raise its max_bytes"):
        open_shards(served.url("/samples"), cache=_cache(tmp_path, 1000))


def test_readers_who_share_a_cache_that_is_too_small_get_every_sample(
    served: PhotoServer, tmp_path: Path
) -> None:
    tar = len(served.photos["/samples/train-00000.tar"])
    cache = _cache(tmp_path, max_bytes=2 * tar)
    shards = open_shards(served.url("/samples"), cache=cache)

    def read(turn: int) -> bool:
        reader = ShardReader([shards])
        rows = [(row * 5 + turn * 7) % 21 for row in range(21)]
        return all(dict(reader.files(0, row)) == files_of(shards.key(row)) for row in rows)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(4)))
    assert _held(cache) <= cache.max_bytes
    assert not list(cache.folder.glob("*.part"))


def test_a_server_that_fails_twice_is_asked_a_third_time(served: PhotoServer, tmp_path: Path) -> None:
    shards = open_shards(served.url("/samples"), cache=_cache(tmp_path))
    served.statuses = _FailsTwice()
    assert dict(ShardReader([shards]).files(0, 8)) == files_of(shards.key(8))
    assert served.requests["/samples/train-00001.tar"] == 3


class _FailsTwice(dict[str, int]):
    """The status of the first two answers is 503."""

    def get(self, path: str, status: int) -> int:  # type: ignore[override]
        self[path] = self.setdefault(path, 0) + 1
        return 503 if self[path] <= 2 else status


@pytest.mark.parametrize(
    ("status", "asked", "sentence"),
    [
        (503, 4, "HTTP 503.*after 4 attempts"),
        (403, 1, "HTTP 403.*after 1 attempts"),
        (404, 1, "there is no http"),
    ],
)
def test_a_server_that_does_not_give_is_named(
    served: PhotoServer, tmp_path: Path, status: int, asked: int, sentence: str
) -> None:
    place = served.url("/samples").replace("//", "//user:secret@")
    shards = open_shards(place, cache=_cache(tmp_path))
    served.statuses["/samples/train-00001.tar"] = status
    with pytest.raises(StreamError, match=sentence) as caught:
        ShardReader([shards]).files(0, 8)
    assert "secret" not in str(caught.value)
    assert served.requests["/samples/train-00001.tar"] == asked
    assert not list((tmp_path / "cache").glob("*.part"))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda data: data[:-1] + b"x", "not what the manifest names"),
        (lambda data: data + bytes(512), "has more than"),
        (lambda data: data[:-512], "cannot fetch .*ConnectionError.* after 4 attempts"),
    ],
)
def test_a_shard_that_is_not_the_manifests_is_refused(
    served: PhotoServer,
    tmp_path: Path,
    spoil,
    sentence: str,  # type: ignore[no-untyped-def]
) -> None:
    shards = open_shards(served.url("/samples"), cache=_cache(tmp_path))
    path = "/samples/train-00001.tar"
    served.photos[path] = spoil(served.photos[path])
    with pytest.raises(StreamError, match=sentence):
        ShardReader([shards]).files(0, 8)
    assert not list((tmp_path / "cache").glob("*train-00001.tar"))


def test_what_a_killed_process_left_is_begun_anew(served: PhotoServer, tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    shards = open_shards(served.url("/samples"), cache=cache)
    ShardReader([shards]).files(0, 8)
    (kept,) = cache.folder.glob("*train-00001.tar")
    kept.rename(f"{kept}.part")
    other = cache.folder / "other.tar.part"
    other.write_bytes(bytes(1000))
    assert dict(ShardReader([shards]).files(0, 8)) == files_of(shards.key(8))
    os.truncate(kept, 100)
    assert dict(ShardReader([shards]).files(0, 8)) == files_of(shards.key(8))


def test_a_remote_folder_without_a_manifest_is_refused(served: PhotoServer, tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r"has no manifest.json: copy the tars"):
        open_shards(served.url("/nothing"), cache=_cache(tmp_path))


def test_a_server_that_is_silent_is_not_waited_for_longer_than_the_cache_says(
    served: PhotoServer, tmp_path: Path
) -> None:
    served.delays_s["/samples/manifest.json"] = 4
    begun = time.monotonic()
    with pytest.raises(StreamError, match=r"manifest\.json comes too slowly: raise the cache's timeout_s"):
        open_shards(served.url("/samples"), cache=ShardCache(tmp_path / "cache", timeout_s=0.5))
    assert time.monotonic() - begun < 3


def test_an_index_that_came_spoilt_is_not_kept(served: PhotoServer, tmp_path: Path) -> None:
    path = "/samples/train-00001.parquet"
    whole = served.photos[path]
    served.photos[path] = bytes(len(whole))
    with pytest.raises(StreamError, match=r"train-00001\.parquet is not what the manifest names"):
        open_shards(served.url("/samples"), cache=_cache(tmp_path))
    served.photos[path] = whole
    assert len(open_shards(served.url("/samples"), cache=_cache(tmp_path))) == 21
