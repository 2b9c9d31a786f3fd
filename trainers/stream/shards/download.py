"""Download a remote file through fsspec, as one response: retries with back-off, a size check, a time limit."""

import re
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, BinaryIO

from facerefs.schemas.object_storage import (
    AddressError,
    filesystem_of,
    is_address,
    is_failed_request,
    sentence_of,
)
from facerefs.trainers.stream.errors import StreamError

_CHUNK_BYTES = 1 << 20
_CONNECT_TIMEOUT_S = 30
_SILENCE_TIMEOUT_S = 60
_LONGEST_PAUSE_S = 30.0
_LEAST_TIMEOUT_S = 0.1
_TRANSIENT_STATUSES = (408, 425, 429)
_PERMANENT = (
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    ValueError,
    TypeError,
    ImportError,
    KeyError,
)
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_QUERY = re.compile(r"[?#].*", re.DOTALL)

Sink = Callable[[bytes], None]


class AbsentError(Exception):
    """The file does not exist."""


def shown_address(address: str) -> str:
    """An address that is safe to show: without user info, query and fragment."""
    return _QUERY.sub("", _USER.sub("", address))


def download(
    address: str, begin: Callable[[], Sink], size: int | None, attempts: int, pause_s: float, deadline: float
) -> None:
    """Pass all bytes of a file to a sink, which `begin` creates for each attempt.

    size: the expected size, if it is known. deadline: in `time.monotonic()` seconds, for all attempts.
    A StreamError of the sink is not caught. Raises AbsentError; StreamError after the last attempt or the deadline.
    """
    for attempt in range(1, attempts + 1):
        try:
            _copy(address, begin(), size, deadline)
            return
        except StreamError:
            raise
        except Exception as error:  # noqa: BLE001  # each file system of fsspec has its own errors
            cause = _cause(error)
            if isinstance(cause, FileNotFoundError) or _status(cause) in (404, 410):
                raise AbsentError(shown_address(address)) from None
            if time.monotonic() >= deadline:
                raise _too_slow(address) from None
            pause_s = min(pause_s, _LONGEST_PAUSE_S)
            out_of_time = time.monotonic() + pause_s > deadline
            if attempt == attempts or out_of_time or not _is_transient(cause):
                raise StreamError(
                    f"cannot fetch {shown_address(address)} ({_described(cause)}), after {attempt} attempts: try later"
                ) from None
        time.sleep(pause_s)
        pause_s *= 2


def _copy(address: str, sink: Sink, size: int | None, deadline: float) -> None:
    copied = 0
    with closing(_opened(address, deadline)) as file:
        while data := file.read(_CHUNK_BYTES):
            sink(data)
            copied += len(data)
            if time.monotonic() > deadline:
                raise _too_slow(address)
    if size is not None and copied < size:
        raise ConnectionError(f"{copied} of {size} bytes came")


def _too_slow(address: str) -> StreamError:
    return StreamError(f"{shown_address(address)} comes too slowly: raise the cache's timeout_s")


def _opened(address: str, deadline: float) -> BinaryIO:
    if is_address(address):
        filesystem, path = filesystem_of(address)
        return filesystem.open_input_stream(path)  # type: ignore[no-any-return]  # pyarrow has no types
    import fsspec

    options: dict[str, Any] = {}
    reading: dict[str, Any] = {}
    if address.startswith(("http://", "https://")):
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(
            total=max(deadline - time.monotonic(), _LEAST_TIMEOUT_S),  # also for slow headers
            sock_connect=_CONNECT_TIMEOUT_S,
            sock_read=_SILENCE_TIMEOUT_S,
        )
        options = {"client_kwargs": {"timeout": timeout}, "skip_instance_cache": True}
        # One response for the whole file, no ranges. A dummy size, else fsspec makes a separate request for the size.
        reading = {"block_size": 0, "size": 1}
    filesystem, path = fsspec.core.url_to_fs(address, **options)
    file: BinaryIO = filesystem.open(path, "rb", **reading)
    return file


def _cause(error: BaseException) -> BaseException:
    """The original error: fsspec raises FileNotFoundError for any failed request, with the real error as its cause."""
    while isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def _is_transient(error: BaseException) -> bool:
    status = _status(error)
    if status is not None:
        return status >= 500 or status in _TRANSIENT_STATUSES
    return not isinstance(error, _PERMANENT)


def _described(error: BaseException) -> str:
    """A short description, without the error's own message, which may contain secrets of the address."""
    if isinstance(error, AddressError):
        return str(error)
    if isinstance(error, OSError) and is_failed_request(error):
        return sentence_of(error)
    status = _status(error)
    return type(error).__name__ if status is None else f"HTTP {status}"
