"""Locks on a build's folder: one build at a time writes to it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from facerefs.pipeline.errors import UserError

LOCK_FILE = ".lock"
_ORPHANS_END_S = 30


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock until the block ends; the system releases it when the process ends, however it ends.

    Creates the folder. Raises UserError if it cannot be written, is not a folder, or another build holds the lock.
    """
    with _open(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another command is writing to {folder}: wait for it, or stop it") from None
        yield


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Keep builds from writing to a folder, which is only read, until the block ends. Raises UserError if one does."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # nothing has locked it yet, or it cannot be opened
        yield
        return
    with os.fdopen(descriptor) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another command is writing to {folder}: wait for it, or stop it") from None
        yield


def hold_worker_lock(folder: Path) -> IO[str]:
    """A shared lock on the folder, which a worker holds as long as it may write there, even if its driver is dead."""
    file = _open(folder)
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def wait_for_workers(folder: Path) -> None:
    """Wait until no worker of a killed run writes to the folder; they end within seconds. Raises UserError if not."""
    with _open(folder) as file:
        for _ in range(_ORPHANS_END_S * 10):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.1)
    raise UserError(
        f"workers of a killed run are still writing to {folder}: end them (ray stop), then try again"
    )


def _open(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Not through a link: a folder from somebody else may have a link there to one of the user's files.
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        return os.fdopen(descriptor, "r+")
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{folder} is a file, not a folder: choose another") from None
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}): choose another folder") from None
