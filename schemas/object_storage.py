"""Addresses in object storage, such as `s3://bucket/folder`, and the pyarrow filesystem that reads and writes them.

Credentials and endpoints come from the environment alone, so that no file of ours ever holds them:

- `s3://bucket/folder`: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`,
  `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` (for a server that is not Amazon's); or what ~/.aws holds, or the
  machine's role.
- `gs://bucket/folder`: Google's application default credentials.
- `az://container/folder`: `AZURE_STORAGE_ACCOUNT`, `AZURE_STORAGE_KEY`.
"""

import os
import re
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

ATTEMPTS = 8  # of one request, with growing pauses
CONNECT_TIMEOUT_S = 5.0
SILENCE_TIMEOUT_S = 10.0
_FORM = re.compile(r"(?P<scheme>s3|gs|az)://(?P<path>[^/].*)", re.DOTALL)
_SCHEMES = {"s3": "s3", "gcs": "gs", "abfs": "az"}
"""The scheme of addresses in a pyarrow filesystem, by its `type_name`."""


class AddressError(ValueError):
    """What is wrong with an address, in one sentence for the user."""


def is_address(text: str) -> bool:
    """Whether a text means object storage: whether it begins with `s3://`, `gs://` or `az://`."""
    return text.startswith(("s3://", "gs://", "az://"))


def address_of(filesystem: "FileSystem", path: str) -> str:
    """The address of a path in a filesystem; the path itself if it is local."""
    scheme = _SCHEMES.get(filesystem.type_name)
    return path if scheme is None else f"{scheme}://{path}"


def path_in_storage(address: str) -> str:
    """The path of an address in its filesystem: `bucket/folder`, without a slash at its end.

    Raises AddressError if it has no bucket, or holds what belongs into the environment.
    """
    found = _FORM.fullmatch(address)
    if found is None:
        raise AddressError(f"{_without_secrets(address)!r} names no bucket: write s3://BUCKET/FOLDER")
    path = found["path"].rstrip("/")
    bucket = path.partition("/")[0]
    if "@" in bucket or "?" in address or "#" in address:
        raise AddressError(
            f"{_without_secrets(address)} holds keys or options: put them into the environment "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL ...), the address is kept with the build"
        )
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise AddressError(f"{address} holds an empty part, `.` or `..`: write s3://BUCKET/FOLDER")
    return path


def filesystem_of(address: str) -> "tuple[FileSystem, str]":
    """The filesystem of an address, and the path in it. Nothing is asked of a server yet. Raises AddressError."""
    path = path_in_storage(address)
    return _filesystem(address.partition(":")[0]), path


def object_at(address: str) -> "tuple[FileSystem, str]":
    """The filesystem and the path of an object that a listing has named: its key may hold `?` and `#`.

    Raises AddressError if it is no address.
    """
    found = _FORM.fullmatch(address)
    if found is None:
        raise AddressError(f"{_without_secrets(address)!r} names no object")
    return _filesystem(found["scheme"]), found["path"]


@lru_cache(maxsize=8)  # a filesystem holds its connections
def _filesystem(scheme: str) -> "FileSystem":
    if scheme == "s3":
        return _s3()
    from pyarrow.fs import AzureFileSystem, GcsFileSystem

    if scheme == "gs":
        return GcsFileSystem(retry_time_limit=timedelta(seconds=ATTEMPTS * SILENCE_TIMEOUT_S))
    account = os.environ.get("AZURE_STORAGE_ACCOUNT")
    if not account:
        raise AddressError(
            "az:// needs the name of the account: set AZURE_STORAGE_ACCOUNT in the environment"
        )
    return AzureFileSystem(account, account_key=os.environ.get("AZURE_STORAGE_KEY"))


def _s3() -> "FileSystem":
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    scheme, _, host = (endpoint or "").rpartition("://")
    return S3FileSystem(
        access_key=os.environ.get("AWS_ACCESS_KEY_ID"),
        secret_key=os.environ.get("AWS_SECRET_ACCESS_KEY"),
        session_token=os.environ.get("AWS_SESSION_TOKEN"),
        endpoint_override=host.rstrip("/") or None,
        scheme=scheme or "https",
        region=region or ("us-east-1" if endpoint else None),
        allow_delayed_open=True,  # one request for a small file, not three
        connect_timeout=CONNECT_TIMEOUT_S,
        request_timeout=SILENCE_TIMEOUT_S,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )


def is_failed_request(error: OSError) -> bool:
    """Whether an error of pyarrow says that a server failed, and nothing about the file: pyarrow has no own class."""
    return error.errno is None and re.search(_FAILED, str(error)) is not None


def sentence_of(error: OSError, address: str = "object storage") -> str:
    """What went wrong with object storage, in one sentence with the way out."""
    text = " ".join(str(error).split())
    for pattern, sentence in _SENTENCES:
        if re.search(pattern, text):
            return f"{address}: {sentence}"
    return f"{address}: a request failed ({text[:300]}): try again"


_FAILED = "AWS Error|google::cloud::Status|Azure"
_SENTENCES = (
    (
        "INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|EXPIRED|TOKEN",
        "the keys are wrong or out of date: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
    ),
    ("NO_SUCH_BUCKET", "there is no such bucket: make it, or correct the address"),
    (
        "ACCESS_DENIED|403",
        "access is denied: check the keys in the environment, and whether they may do this",
    ),
    (
        "NETWORK_CONNECTION|curlCode",
        "object storage does not answer: check AWS_ENDPOINT_URL in the environment, and the network",
    ),
)


def _without_secrets(address: str) -> str:
    return re.sub(r"[?#].*", "", re.sub(r"(?<=://)[^/]*@", "", address), flags=re.DOTALL)
