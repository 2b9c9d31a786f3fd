"""From a setting to a file: found, fetched and checked, or a sentence that says what to do."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.weights import pretrained
from facerefs.trainers.weights.pretrained import find_file
from tests.photo_server import PhotoServer, photo_server

DATA = b"weights" * 1000
NAME = f"net-{hashlib.sha256(DATA).hexdigest()[:8]}.pth"


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture(scope="module")
def running() -> Iterator[PhotoServer]:
    with photo_server() as state:
        yield state


@pytest.fixture
def server(running: PhotoServer) -> PhotoServer:
    for memory in (running.photos, running.asked, running.given):
        memory.clear()
    return running


def test_a_path_is_the_file_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.pth"
    file.touch()
    assert find_file(str(file), NAME, "https://example.org/x") == file


@pytest.mark.parametrize("setting", ["nowhere.pth", "", "/", "Cache"])
def test_a_path_that_names_no_file_is_told_with_the_other_settings(setting: str) -> None:
    with pytest.raises(
        MissingWeights,
        match=f"no weights at '{setting}' in place of .*: give the path of a file, `cache` or `down",
    ):
        find_file(setting, NAME, "https://example.org/x")


def test_the_cache_is_torch_hubs_and_nothing_is_fetched_for_it(
    checkpoints: Path, server: PhotoServer
) -> None:
    url = server.url(f"/{NAME}")
    with pytest.raises(MissingWeights, match=r"not there: `curl -fL --create-dirs -o .*") as missing:
        find_file("cache", NAME, url)
    assert str(checkpoints / NAME) in str(missing.value)
    assert url in str(missing.value)
    checkpoints.mkdir(parents=True)
    (checkpoints / NAME).touch()
    assert find_file("cache", NAME, url) == checkpoints / NAME
    assert not server.requests


def test_download_fetches_once_into_the_cache(checkpoints: Path, server: PhotoServer) -> None:
    server.photos[f"/{NAME}"] = DATA
    for _ in range(2):
        assert find_file("download", NAME, server.url(f"/{NAME}")) == checkpoints / NAME
    assert (checkpoints / NAME).read_bytes() == DATA
    assert server.photos_sent[f"/{NAME}"] == 1
    assert find_file("cache", NAME, "https://example.org/x") == checkpoints / NAME


@pytest.mark.parametrize("bad", ["absent", "changed", "too large", "no server"])
def test_a_download_that_fails_leaves_nothing_behind(
    bad: str, checkpoints: Path, server: PhotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "_PAUSE_S", 0.01)
    monkeypatch.setattr(pretrained, "MOST_BYTES", len(DATA) - (bad == "too large"))
    if bad != "absent":
        server.photos[f"/{NAME}"] = DATA if bad != "changed" else DATA[:-1] + b"?"
    url = server.url(f"/{NAME}") if bad != "no server" else f"http://127.0.0.1:9/{NAME}"
    with pytest.raises(MissingWeights, match=r"could not be fetched .*; without this program: `curl"):
        find_file("download", NAME, url)
    assert list(checkpoints.iterdir()) == []


def test_random_is_no_file() -> None:
    with pytest.raises(
        MissingWeights, match=r"net\.pth cannot be `random`: give a path, `cache` or `download`"
    ):
        find_file("random", "net.pth", "https://example.org/x")
