"""The lease of a build in object storage, which has no locks: one build at a time writes to it.

The lease is an object that its holder writes again every `RENEW_S`. One that was not renewed for `EXPIRES_S`, by the
clock of the server, is of a run that is dead, and may be taken over at once if that ran on this machine. A run whose
lease another one has taken stops: what it still wrote would mix with what the other one writes.
"""

import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.storage.file_store import FileStore
from facerefs.pipeline.storage.lock import locked
from facerefs.schemas.object_storage import sentence_of

LEASE_FILE = ".lease"
RENEW_S = 15.0
EXPIRES_S = 90.0
_SETTLE_S = 1.0  # two that begin in the same moment: the later write wins, and both see it
_MAX_BYTES = 4096
_LOST = "another build has taken the lease of this one, which did not reach its server for a while: it goes on alone"


def _processes() -> str:
    """What numbers of processes are of: this boot of this machine, and this container. Empty if it does not say so."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


@dataclass(frozen=True)
class _Holder:
    """Who holds a lease."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    process: int = field(default_factory=os.getpid)
    processes: str = field(default_factory=_processes)

    def is_dead(self) -> bool:
        """Whether it ran on this machine and has ended."""
        # Machines and containers of one name are many.
        if (self.host, self.processes) != (socket.gethostname(), _processes()):
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def locked_build(store: FileStore) -> AbstractContextManager[None]:
    """Keeps other builds from writing to a build's folder until the block ends. Raises UserError if one does."""
    return locked(store.local_path("")) if store.is_local else leased(store)


@contextmanager
def leased(store: FileStore) -> Iterator[None]:
    """Hold the lease of a remote build until the block ends.

    Raises UserError if another build holds it, RunError if another one has taken it meanwhile.
    """
    own = _Holder()
    _check_free(store, own)
    try:
        store.write_text(LEASE_FILE, json.dumps(asdict(own)))
    except OSError as error:
        raise UserError(f"cannot write to {sentence_of(error, store.address)}") from None
    time.sleep(_SETTLE_S)
    if _holder(store) != own:
        raise UserError(f"another build has begun to write to {store.address} at the same moment: try again")
    ended = threading.Event()
    with _ending_when_told() as tell:
        renewing = threading.Thread(target=_renew, args=(store, own, ended, tell), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            ended.set()
            renewing.join()
            is_held = _holder(store) == own
            if is_held:
                store.remove_file(LEASE_FILE)
    if not is_held:
        raise RunError(_LOST)


@contextmanager
def _ending_when_told() -> Iterator[Callable[[], None]]:
    """A function for another thread that ends the block with RunError; it does nothing unless this is the main thread.

    A signal of our own, since Ctrl-C is ignored by what a shell has started in the background.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def end(_signal: int, _frame: object) -> None:
        raise RunError(_LOST)

    before = signal.signal(signal.SIGUSR1, end)
    thread = threading.get_ident()
    try:
        yield lambda: signal.pthread_kill(thread, signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def _check_free(store: FileStore, own: _Holder) -> None:
    holder = _holder(store)
    if holder is None or holder.is_dead():
        return
    probe = f"{LEASE_FILE}-{own.id}"
    store.write_text(probe, "")
    age_s = _written_s(store, probe) - _written_s(store, LEASE_FILE)
    store.remove_file(probe)
    if age_s < EXPIRES_S:
        raise UserError(
            f"another build (process {holder.process} on {holder.host}) writes to {store.address}: wait for it, or "
            f"stop it; if it is dead, its lease ends in {EXPIRES_S - age_s:.0f} s"
        )


def _holder(store: FileStore) -> _Holder | None:
    data = store.read_small(LEASE_FILE, _MAX_BYTES)
    try:
        return None if data is None else _Holder(**json.loads(data))
    except (ValueError, TypeError):
        return _Holder("", "an unknown machine", 0, "")  # of another version


def _written_s(store: FileStore, name: str) -> float:
    """When a file was written, in seconds since 1970 by the clock of the server; 0 if it is not there."""
    written = store.filesystem.get_file_info(store.full_path(name)).mtime
    return 0.0 if written is None else float(written.timestamp())


def _renew(store: FileStore, own: _Holder, ended: threading.Event, tell: Callable[[], None]) -> None:
    while not ended.wait(RENEW_S):
        try:
            if _holder(store) != own:
                if not ended.is_set():
                    tell()
                return
            with store.replacing(LEASE_FILE) as file:
                file.write(json.dumps(asdict(own)).encode())
        except OSError:
            continue  # tried again at the next turn
