"""Check that a Ray cluster answers at an address, before `ray.init` waits for minutes and then ends the process."""

import os
import re
import socket
from pathlib import Path
from tempfile import gettempdir

from facerefs.pipeline.errors import UserError

_CONNECT_S = 5.0  # for each address of the host
_ANSWER_S = 10.0
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_HTTP2_SETTINGS = 4  # the type of the frame with which every gRPC server, as Ray's are, begins
_FORM = re.compile(r"(?P<client>ray://)?(?P<host>[^\s/:]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})/?")
_FORMS = "auto, HOST:6379 or ray://HOST:10001"


def check_cluster(address: str) -> None:
    """Raise UserError unless a server of Ray's kind answers at the address of `--address`; takes 20 s at most.

    To be called before Ray is imported, so that it shows the user's token to the cluster.
    """
    _use_token()
    place = _local_cluster() if address == "auto" else address
    found = _FORM.fullmatch(place)
    if found is None or not 0 < int(found["port"]) < 65_536:
        raise UserError(f"--address cannot be {place!r}: write {_FORMS}")
    host, port = found["host"].strip("[]"), int(found["port"])
    try:
        with socket.create_connection((host, port), _CONNECT_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") in ("0", ""):
                _check_greeting(connection)
    except (OSError, UnicodeError) as error:
        why = f"no answer within {_ANSWER_S:g} s" if isinstance(error, TimeoutError) else _sentence(error)
        raise UserError(
            f"no Ray cluster answers at --address {_named(address, place)} ({why}): "
            "check the address, or leave --address out to use this machine"
        ) from None


def _use_token() -> None:
    """Let Ray show the token of this user, if there is one, as `ray start` does; `RAY_AUTH_MODE` decides otherwise.

    Ray reads that variable when it is imported.
    """
    paths = (os.environ.get("RAY_AUTH_TOKEN_PATH"), Path.home() / ".ray" / "auth_token")
    if os.environ.get("RAY_AUTH_TOKEN") or any(path is not None and Path(path).is_file() for path in paths):
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _check_greeting(connection: socket.socket) -> None:
    """Raise OSError unless the server greets as HTTP/2 wants it."""
    connection.settimeout(_ANSWER_S)
    connection.sendall(_HTTP2_GREETING)
    start = connection.recv(9)
    if len(start) < 4 or start[3] != _HTTP2_SETTINGS:
        raise ConnectionError("what listens there is not Ray")


def _local_cluster() -> str:
    """The address of the cluster that runs on this machine, as Ray itself looks for it. Raises UserError."""
    named = os.environ.get("RAY_ADDRESS", "")
    if named and named != "auto":
        return named
    noted = Path(os.environ.get("RAY_TMPDIR", gettempdir())) / "ray" / "ray_current_cluster"
    try:
        return noted.read_text(encoding="utf-8").strip()
    except OSError:
        raise UserError(
            "--address auto finds no Ray cluster on this machine: start one with `ray start --head`, "
            "or leave --address out"
        ) from None


def _named(address: str, place: str) -> str:
    return address if address == place else f"{address}, {place}"


def _sentence(error: Exception) -> str:
    return str(error.strerror if isinstance(error, OSError) and error.strerror else error)
