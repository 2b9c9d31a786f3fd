"""Reject reasons for the exceptions of aiohttp and the layers below it."""

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError

from facerefs.schemas.reject import Reject
from facerefs.stages.web.address import WebError
from facerefs.stages.web.limits import WebLimits

TRANSFER_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, RuntimeError, ValueError)
"""What a transfer may raise; RuntimeError comes from a connection that ends between two steps of aiohttp."""

_REASONS: tuple[tuple[type[Exception], Reject], ...] = (  # the first that fits
    (aiohttp.ClientConnectorDNSError, Reject.HOST_UNKNOWN),
    (aiohttp.ClientSSLError, Reject.TLS),
    (aiohttp.ClientConnectorError, Reject.CONNECT_FAILED),
    (aiohttp.InvalidURL, Reject.BAD_URL),
    (aiohttp.ClientResponseError, Reject.BAD_ANSWER),
    (HttpProcessingError, Reject.BAD_ANSWER),
    (ValueError, Reject.BAD_ANSWER),  # such as an ETag of the host's that no header of ours can carry
    (Exception, Reject.CONNECTION_LOST),
)


def transfer_error(error: Exception, limits: WebLimits, status: int | None = None) -> WebError:
    """The WebError for one of `TRANSFER_ERRORS`; status: of the answer, if its header had arrived."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return WebError(Reject.TIMEOUT, f"no connection within {limits.connect_timeout_s:g} s")
    if isinstance(error, TimeoutError):
        return WebError(Reject.TIMEOUT, f"no byte for {limits.idle_timeout_s:g} s", status)
    cause = error.__cause__
    if isinstance(error, aiohttp.ClientPayloadError) and type(cause) is PayloadEncodingError:
        return WebError(Reject.BAD_ANSWER, _message(cause), status)
    has_cause = (
        isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientPayloadError) and cause is not None
    )
    reject = next(reject for kind, reject in _REASONS if isinstance(error, kind))
    return WebError(reject, _message(cause if has_cause and cause is not None else error), status)


def _message(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        text = error.message  # str(error) begins with a 400 that the host did not send
    return " ".join(text.split()) or type(error).__name__
