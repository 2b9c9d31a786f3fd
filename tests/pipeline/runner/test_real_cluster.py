"""A cluster of several nodes on loopback, whose nodes share nothing but object storage and a folder of files."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facerefs.pipeline.runner.versions import difference, versions
from facerefs.pipeline.storage.folder import Storage
from tests.object_storage import BUCKET, ObjectStorage, object_storage
from tests.pipeline.folders import contents
from tests.pipeline.runner.test_runner import run
from tests.pipeline.runner.toy import Marked

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    with object_storage(tmp_path_factory.mktemp("s3")) as running:
        yield running


class Nodes:
    """A cluster whose nodes have names, and folders of their own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        from ray.cluster_utils import Cluster

        self._folder = folder
        self._environment = environment
        self._cluster = Cluster(
            initialize_head=True,
            connect=False,
            head_node_args={"num_cpus": 1, "env_vars": self._of("head"), "include_dashboard": False},
        )
        self._nodes: dict[str, Any] = {}

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self, name: str) -> None:
        self._nodes[name] = self._cluster.add_node(wait=False, num_cpus=1, env_vars=self._of(name))

    def lose(self, name: str) -> None:
        self._cluster.remove_node(self._nodes.pop(name), allow_graceful=False)

    def end(self) -> None:
        self._cluster.shutdown()

    def _of(self, name: str) -> dict[str, str]:
        own = self._folder / name
        own.mkdir(parents=True)
        return self._environment | {"TEST_NODE": name, "TMPDIR": str(own)}


@pytest.fixture
def nodes(server: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    cluster = Nodes(tmp_path / "nodes", {"PYTHONPATH": str(ROOT)})
    try:
        yield cluster
    finally:
        cluster.end()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for i in range(300):
        (folder / f"{i:03d}.bin").write_bytes(bytes([i % 256]) * 100 * i)
    return folder


def start(address: str, out: str, files: Path, marks: Path, dies_at: str = "") -> "subprocess.Popen[str]":
    marks.mkdir(exist_ok=True)
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.pipeline.runner.on_cluster",
            address,
            out,
            str(files),
            str(marks),
            dies_at,
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def names_in(marks: Path) -> set[str]:
    """The names of the nodes that have made a part."""
    return {path.name.split()[0] for path in marks.iterdir()}


def wait_for(marks: Path, node: str) -> None:
    deadline = time.monotonic() + 90
    while node not in names_in(marks):
        assert time.monotonic() < deadline, f"{node} has made no part"
        time.sleep(0.05)


@pytest.mark.usefixtures("ray_for_two")
def test_a_lost_worker_a_lost_node_and_one_that_joins_change_no_byte(
    nodes: Nodes, tmp_path: Path, files: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    run(tmp_path / "alone", files, stage=Marked(marks=str(marks)))
    for mark in marks.iterdir():
        mark.unlink()
    out = f"s3://{BUCKET}/spread"
    nodes.add("second")
    driver = start(nodes.address, out, files, marks, dies_at="050.bin")
    wait_for(marks, "head")
    wait_for(marks, "second")
    nodes.add("third")
    wait_for(marks, "third")
    nodes.lose("second")
    said, complaints = driver.communicate(timeout=180)
    assert driver.returncode == 0, complaints
    assert "a worker was lost" in said
    assert names_in(marks) == {"died", "head", "piece", "second", "third"}
    assert "pieces on head third, lost 1" in said
    assert len(Storage.at(out).scan("images")) == 300
    ours, theirs = contents(out), contents(tmp_path / "alone")
    tars = [name for name in theirs if name.endswith(".tar")]
    assert tars
    assert {name: ours[name] for name in tars} == {name: theirs[name] for name in tars}
    assert Storage.at(out).scan("images") == Storage.at(tmp_path / "alone").scan("images")


def test_a_node_with_another_version_is_named() -> None:
    assert difference(versions()) == ""
    assert "pillow" in difference(versions() | {"pillow": "1.0"})
    assert "insightface" in difference(versions() | {"insightface": "0.0.1"})
