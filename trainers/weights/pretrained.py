"""Find the file of pretrained weights for a setting.

A setting is a string: the path of a file; `cache`, the folder `checkpoints` of torch hub; `download`, the cache, with a
download from the official address if the file is missing; `random`, random weights from a fixed seed, for those
networks that allow it.
"""

import hashlib
import re
import shlex
import time
import uuid
from pathlib import Path
from typing import BinaryIO

import torch

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.torch_file import MOST_BYTES
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.shards.download import AbsentError, Sink, download

CACHE = "cache"
DOWNLOAD = "download"
RANDOM = "random"

_MOST_S = 3600.0
_ATTEMPTS = 3
_PAUSE_S = 2.0
_HASH = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")  # as torch hub names its files


def find_file(setting: str, file_name: str, url: str) -> Path:
    """The path of the weights file for a setting.

    file_name: its name in the cache; if it ends like `-dcbb9e9d.pth`, the SHA-256 of the downloaded file must begin
    with these digits. url: its official address. Raises MissingWeights in a sentence that says how to get the file;
    also for `random`, which is not a file.
    """
    if setting == RANDOM:
        raise MissingWeights(f"{file_name} cannot be `random`: give a path, `cache` or `download`")
    if setting not in (CACHE, DOWNLOAD):
        path = Path(setting).expanduser()
        if path.is_file():
            return path
        raise MissingWeights(
            f"there are no weights at {setting!r} in place of {file_name}: give the path of a file, `cache` or "
            "`download`"
        )
    path = Path(torch.hub.get_dir()) / "checkpoints" / file_name
    if not path.is_file():
        if setting == CACHE:
            raise MissingWeights(f"the weights {path} are not there: {_command(path, url)}")
        _fetch(path, url)
    return path


def _command(path: Path, url: str) -> str:
    return f"`curl -fL --create-dirs -o {shlex.quote(str(path))} {url}`"


def _fetch(path: Path, url: str) -> None:
    """Download the file: it appears complete or not at all, even if several processes download it."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            download(url, lambda: _sink(file), None, _ATTEMPTS, _PAUSE_S, time.monotonic() + _MOST_S)
        _check(part, path.name)
        part.replace(path)
    except (AbsentError, StreamError, OSError) as error:
        raise MissingWeights(
            f"the weights {path} could not be fetched ({error}); without this program: {_command(path, url)}"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def _sink(file: BinaryIO) -> Sink:
    """A sink that writes the file from its beginning; a new one for each attempt."""
    file.seek(0)
    file.truncate()

    def write(data: bytes) -> None:
        if file.tell() + len(data) > MOST_BYTES:
            raise StreamError(f"it has more than {MOST_BYTES} bytes")
        file.write(data)

    return write


def _check(part: Path, file_name: str) -> None:
    if expected := _HASH.search(file_name):
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not digest.startswith(expected[1]):
            raise StreamError(f"its SHA-256 begins with {digest[:8]}, not {expected[1]}")
