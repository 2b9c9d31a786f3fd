"""A real S3 server on loopback (SeaweedFS), with one bucket, for tests of builds in object storage."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

BUCKET = "faces"
KEYS = {"AWS_ACCESS_KEY_ID": "writer", "AWS_SECRET_ACCESS_KEY": "writer-secret"}
READER = {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "reader-secret"}
_READY_S = 60.0


@dataclass(frozen=True)
class ObjectStorage:
    """A server that runs, and the environment of a program that uses it."""

    port: int

    def environment(self, port: int | None = None) -> dict[str, str]:
        """Endpoint and keys, for this port or that of a proxy."""
        return KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}", "AWS_REGION": "us-east-1"}


@contextmanager
def object_storage(folder: Path) -> Iterator[ObjectStorage]:
    """A server that keeps its files in a folder, until the block ends."""
    ports = _free_ports(4)
    config = folder / "s3.json"
    config.write_text(
        json.dumps({"identities": [_identity(KEYS, "Admin"), _identity(READER, "Read", "List")]})
    )
    # Each of its servers also wants the port that is 10,000 higher, which `_free_ports` has looked at.
    arguments = [f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={config}"]
    names = ("s3.port", "master.port", "volume.port", "filer.port")
    arguments += [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    # Small volumes, or it reserves tens of gigabytes; no other services, which have ports of their own.
    arguments += ["-volume.max=20", "-master.volumeSizeLimitMB=100", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [Path(sys.executable).parent / "weed", "server", *arguments], stdout=log, stderr=log
        )
    try:
        _make_bucket(ports[0], server, folder / "log")
        yield ObjectStorage(ports[0])
    finally:
        server.kill()  # it would take its time to end
        server.wait()


def _identity(keys: dict[str, str], *actions: str) -> dict[str, object]:
    credentials = {"accessKey": keys["AWS_ACCESS_KEY_ID"], "secretKey": keys["AWS_SECRET_ACCESS_KEY"]}
    return {"name": credentials["accessKey"], "credentials": [credentials], "actions": list(actions)}


def _free_ports(count: int) -> list[int]:
    """Ports that are free, as is the one 10,000 above each."""
    ports: list[int] = []
    candidate = 20_000 + time.monotonic_ns() // 1000 % 10_000
    while len(ports) < count:
        candidate = 20_000 + (candidate + 1) % 20_000
        if _is_free(candidate) and _is_free(candidate + 10_000):
            ports.append(candidate)
    return ports


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _make_bucket(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server answers, and make the bucket."""
    filesystem = pafs.S3FileSystem(
        access_key=KEYS["AWS_ACCESS_KEY_ID"],
        secret_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=f"127.0.0.1:{port}",
        scheme="http",
        region="us-east-1",
        allow_bucket_creation=True,
    )
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            filesystem.create_dir(BUCKET)
            with filesystem.open_output_stream(f"{BUCKET}/ready") as file:
                file.write(b"yes")
            filesystem.delete_file(f"{BUCKET}/ready")
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text(encoding="utf-8", errors="replace")[-2000:]) from None
            time.sleep(0.2)
