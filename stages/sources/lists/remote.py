"""Opens a file at an address that fsspec understands; its errors become sentences that show no secrets."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from facerefs.schemas.object_storage import (
    AddressError,
    filesystem_of,
    is_address,
    is_failed_request,
    sentence_of,
)
from facerefs.schemas.paths import text_of_path
from facerefs.stages.sources.source import SourceError
from facerefs.stages.web.address import WebError
from facerefs.stages.web.limits import WebLimits

_ABSENT = (404, 410)
_WEB = frozenset({"http", "https"})
_BUFFER_BYTES = 1 << 18
_MAX_CAUSE = 300  # characters
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_QUERY = re.compile(r"[?#].*?(?=::[a-z0-9+.-]+://|$)", re.IGNORECASE | re.DOTALL)
_ADDRESS_IN_TEXT = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"]*", re.IGNORECASE)


def shown_place(place: str) -> str:
    """A path or an address for messages and for storage: an address without user info, query and fragment."""
    return _QUERY.sub("", _USER.sub("", place)) if "://" in place else text_of_path(place)


def without_secrets(text: str, address: str) -> str:
    """A message about an address, in one line without the address's secrets."""
    secrets = [found[0].removesuffix("@") for found in _USER.finditer(address)]
    secrets += [found[0][1:] for found in _QUERY.finditer(address)]
    text = text.replace(address, shown_place(address))
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    text = _ADDRESS_IN_TEXT.sub(lambda found: shown_place(found[0]), text)
    return " ".join(text.split())[:_MAX_CAUSE]


def open_remote(address: str, limits: WebLimits | None = None) -> BinaryIO:
    """A file to read, its bytes as they are. limits: of requests to the web. Raises SourceError, now and while it is
    read.
    """
    import fsspec

    if is_address(address):
        return _open_in_storage(address)
    with _failures(address):
        options = _options(address, limits)
        return io.BufferedReader(
            _Remote(fsspec.open(address, "rb", **options).open(), address), _BUFFER_BYTES
        )


def _options(address: str, limits: WebLimits | None) -> dict[str, Any]:
    """Options for fsspec: for a web address in a chain (`zip://a.csv::https://...`) too."""
    from facerefs.stages.sources.lists.guarded_http import LIST_LIMITS, http_options

    guarded = http_options(limits or LIST_LIMITS)
    schemes = {link.partition("://")[0].lower() for link in address.split("::")}
    if "::" in address:
        return dict.fromkeys(schemes & _WEB, guarded)
    return guarded if schemes & _WEB else {}


def _open_in_storage(address: str) -> BinaryIO:
    try:
        filesystem, path = filesystem_of(address)
        return io.BufferedReader(_Remote(filesystem.open_input_file(path), address), _BUFFER_BYTES)
    except AddressError as error:
        raise SourceError(str(error)) from None
    except FileNotFoundError:
        raise SourceError(f"there is no file {address}") from None
    except OSError as error:
        raise SourceError(sentence_of(error, address)) from None


class _Remote(io.RawIOBase):
    """A file of fsspec whose errors become SourceError."""

    def __init__(self, file: BinaryIO, address: str) -> None:
        super().__init__()
        self._file = file
        self._address = address

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def readinto(self, buffer: object) -> int:
        into = cast(memoryview, buffer)
        with _failures(self._address):
            data = self._file.read(len(into))
        into[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _failures(self._address):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


@contextmanager
def _failures(address: str) -> Iterator[None]:
    try:
        yield
    except SourceError:
        raise
    except OSError as error:
        if is_address(address) and is_failed_request(error):
            raise SourceError(sentence_of(error, address)) from error
        raise SourceError(_sentence(error, address)) from error
    except Exception as error:  # every file system of fsspec has errors of its own
        raise SourceError(_sentence(error, address)) from error


def _sentence(error: Exception, address: str) -> str:
    """The sentence for an error; fsspec raises FileNotFoundError for any error, so its cause decides."""
    shown = shown_place(address)
    cause: BaseException | None = error
    while isinstance(cause, (FileNotFoundError, LookupError)):
        cause = cause.__cause__
    if cause is None and not isinstance(error, FileNotFoundError):
        cause = error
    status = getattr(cause, "status", None)
    answered = isinstance(status, int) and cause is not None and cause.__cause__ is None
    if (refused := _refusal(error)) is not None:
        return (
            f"{shown} is not fetched: {without_secrets(str(refused), address)}; a list on a host of your own network "
            "wants --allow-private-hosts"
        )
    if cause is None or (answered and status in _ABSENT):
        return f"there is no file {shown}"
    if answered:
        return f"cannot read {shown}: the server answers HTTP {status}"
    return f"cannot read {shown}: {type(cause).__name__}: {without_secrets(str(cause), address)}"


def _refusal(error: BaseException | None) -> WebError | None:
    """The refusal of our own guard among the causes of an error."""
    while error is not None and not isinstance(error, WebError):
        error = error.__cause__ or error.__context__
    return error
