"""A Ray cluster that is not there: one sentence, in seconds, before Ray itself is asked."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.runner import cluster


@contextmanager
def listener(greeting: bytes = b"") -> Iterator[str]:
    """Accepts one connection, and says at most this."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            held.append(server.accept()[0])
            held[0].sendall(greeting)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(1)
        for connection in held:
            connection.close()


@pytest.mark.parametrize(
    "address",
    ["nonsense", "127.0.0.1", "http://127.0.0.1:6379", "127.0.0.1:99999", ":6379", "a b:1", "ray://x"],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UserError, match="write auto, HOST:6379 or ray://HOST:10001"):
        cluster.check_cluster(address)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_port_where_nobody_listens(scheme: str) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{bound.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(UserError, match=f"no Ray cluster answers at --address {address} .*refused"):
            cluster.check_cluster(address)
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_one_who_accepts_and_never_answers(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_ANSWER_S", 0.3)
    with listener() as place, pytest.raises(UserError, match=r"no answer within 0\.3 s"):
        cluster.check_cluster(scheme + place)


def test_one_who_speaks_something_else() -> None:
    nonsense = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with listener(nonsense) as place, pytest.raises(UserError, match="what listens there is not Ray"):
        cluster.check_cluster(place)


def test_no_cluster_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(UserError, match="finds no Ray cluster on this machine"):
        cluster.check_cluster("auto")


@pytest.mark.usefixtures("ray_for_two")
def test_a_cluster_that_is_there_is_found() -> None:
    import ray

    cluster.check_cluster(ray.get_runtime_context().gcs_address)
