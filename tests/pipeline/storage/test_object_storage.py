"""Builds in object storage, on a real S3 server: the bytes of local builds, whatever fails on the way."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from facerefs.pipeline.build.folder import open_build, storage_at
from facerefs.pipeline.commands.report import report_command
from facerefs.pipeline.commands.verify import verify_command
from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.runner.event_log import LOG_FILE, EventLog
from facerefs.pipeline.storage import lease
from facerefs.pipeline.storage.file_store import FileStore
from facerefs.pipeline.storage.folder import Storage
from facerefs.pipeline.storage.journals import journal_copies
from facerefs.pipeline.storage.journals.part_journals import part_journals
from facerefs.pipeline.storage.lease import LEASE_FILE, leased
from facerefs.schemas import object_storage as addresses
from facerefs.schemas.file_names import BUILD_FILE
from facerefs.trainers.training_set import open_set
from tests.faulty_proxy import BUSY, CUT, DROPPED, FaultyProxy
from tests.object_storage import BUCKET, READER, ObjectStorage, object_storage
from tests.pipeline.folders import contents
from tests.pipeline.merge.toy_build import picture, take_over, toy_build, write_photos
from tests.pipeline.runner.test_copied_rows import grow
from tests.pipeline.runner.test_runner import run
from tests.pipeline.small_set import make_samples, make_set, write_tables

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    with object_storage(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(autouse=True)
def environment(server: ObjectStorage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The keys and the endpoint; a scratch folder and a cache of our own."""
    use(monkeypatch, server.environment())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    addresses._filesystem.cache_clear()


def use(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    addresses._filesystem.cache_clear()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    """A folder in the bucket for one test."""
    return f"s3://{BUCKET}/{request.node.name}"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for i in range(24):
        (folder / f"{i:03d}.bin").write_bytes(bytes([i]) * 1000 * i)
    return folder


def test_a_build_in_a_bucket_is_merged_with_a_local_one_into_a_bucket(tmp_path: Path, address: str) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        photos = write_photos(tmp_path / f"photos-{name}", {f"{name}/1.png": picture(seed)})
        toy_build(photos, tmp_path / name)
    for name, data in contents(tmp_path / "a").items():
        Storage.at(f"{address}/a").write_bytes(name, data)
    take_over([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    take_over([f"{address}/a", tmp_path / "b"], f"{address}/out")
    assert contents(f"{address}/out") == contents(tmp_path / "out")


def test_shards_have_the_bytes_of_a_local_build_and_are_read_from_there(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_set(tmp_path / "local")
    make_samples(write_tables(address))
    assert contents(address) == contents(tmp_path / "local")
    assert verify_command(f"{address}/samples", replay=2)
    remote, local = open_set(f"{address}/samples"), open_set(tmp_path / "local")
    assert remote.splits == local.splits
    for found, wanted in zip(remote.samples(), local.samples(), strict=True):
        assert found.key == wanted.key
        assert (found.target.image == wanted.target.image).all()


def test_samples_are_copied_there_also_into_other_shards(tmp_path: Path, address: str) -> None:
    """In the bucket the earlier shards are set aside by copies, and these are removed in the end."""
    assert grow(address, 2) == (0, 0)
    copied, _ = grow(address, 5)
    assert copied > 0
    grow(tmp_path / "fresh", 5)
    assert contents(address) == contents(tmp_path / "fresh")


def test_a_build_is_found_by_its_address(tmp_path: Path, address: str) -> None:
    storage = write_tables(address)
    with pytest.raises(UserError, match="holds no build"):
        open_build(address)
    make_samples(storage)
    storage.write_text(BUILD_FILE, "source: photos\nconfig: {}\n")
    report_command(address, blur=False)
    assert open_build(address + "/").exists("report.html")
    assert len(open_set(address)) > 0  # though the shards are in its folder `samples`
    assert verify_command(address, replay=0)


@pytest.mark.usefixtures("ray_for_two")
def test_a_server_that_fails_costs_tries_but_no_data(
    server: ObjectStorage, tmp_path: Path, address: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "local", files)
    with FaultyProxy(server.port, 0.15, (DROPPED, DROPPED, CUT, CUT, BUSY)).running() as proxy:
        use(monkeypatch, server.environment(proxy.port))
        run(address, files)
        assert contents(address) == contents(tmp_path / "local")
    assert sum(proxy.spoiled.values()) > 3


@pytest.mark.usefixtures("ray_for_two")
def test_killed_at_random_and_run_again_gives_the_same_bytes(
    tmp_path: Path, address: str, files: Path
) -> None:
    run(tmp_path / "local", files)
    script = (
        "from pathlib import Path; from tests.pipeline.runner.test_runner import run;"
        f"run({address!r}, Path({str(files)!r}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[3],
    )
    deadline = time.monotonic() + 60
    while not Storage.at(address).parts("images"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    Storage.at(address).clear_temporary()
    run(address, files)
    assert contents(address) == contents(tmp_path / "local")
    assert "nothing to do" in run(address, files)


def test_an_upload_that_ends_early_leaves_no_object(
    server: ObjectStorage, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore.at(address)
    with pytest.raises(ZeroDivisionError), store.replacing("whole") as file:
        file.write(bytes([1 // len(store.files(""))]))
    assert store.files("") == []
    monkeypatch.setattr(addresses, "ATTEMPTS", 1)
    monkeypatch.setattr("facerefs.pipeline.storage.upload._PAUSE_S", 0)
    with FaultyProxy(server.port, 1.0, (DROPPED,)).running() as proxy:
        use(monkeypatch, server.environment(proxy.port))
        lost = FileStore.at(address)
        with pytest.raises(OSError, match="AWS Error"):
            lost.write_bytes("large", bytes(12 << 20))
    assert store.files("") == []


def test_an_upload_that_is_interrupted_leaves_no_object(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(source: BinaryIO, target: BinaryIO, length: int) -> None:
        target.write(source.read(3))
        raise KeyboardInterrupt

    store = FileStore.at(address)
    monkeypatch.setattr("facerefs.pipeline.storage.upload.shutil.copyfileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.write_bytes("report.html", b"<html></html>")
    assert store.files("") == []


def test_a_server_that_fails_is_no_damaged_table(
    server: ObjectStorage, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tables(address)
    with FaultyProxy(server.port, 1.0, (DROPPED,)).running() as proxy:
        monkeypatch.setattr(addresses, "ATTEMPTS", 1)
        use(monkeypatch, server.environment(proxy.port))
        storage = Storage.at(address)
        for read in (storage.part, storage.read):
            with pytest.raises(OSError, match="AWS Error"):
                read("faces", "part-a")
        with pytest.raises(OSError, match="AWS Error"):
            storage.read_blob("blobs/faces/part-a.tar", 512, 10)


@pytest.mark.parametrize(
    ("change", "address", "sentence"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, f"s3://{BUCKET}/set", "the keys are wrong or out of date"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, f"s3://{BUCKET}/set", "the keys are wrong or out of date"),
        ({}, "s3://not-there/set", "there is no bucket not-there"),
        ({}, "s3://key:secret@faces/set", "holds keys or options"),
        ({}, f"s3://{BUCKET}/set?endpoint_override=elsewhere", "holds keys or options"),
        ({}, "s3://", "names no bucket"),
        ({}, f"S3://{BUCKET}/set", "no address that we know"),
        ({}, f"s3:/{BUCKET}/set", "no address that we know"),
        ({}, f"s3://{BUCKET}/a/../b", "holds an empty part"),
    ],
)
def test_mistakes_end_with_a_sentence_without_secrets(
    change: dict[str, str], address: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, change)
    with pytest.raises(UserError, match=sentence) as raised:
        storage_at(address)
    assert "secret@" not in str(raised.value)


def test_an_endpoint_that_does_not_answer_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "ATTEMPTS", 2)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    use(monkeypatch, {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})
    with pytest.raises(UserError, match="does not answer: check AWS_ENDPOINT_URL"):
        storage_at(f"s3://{BUCKET}/set")


def test_who_may_not_write_is_told_so(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, READER)
    with pytest.raises(UserError, match=r"cannot write to .*: access is denied"), leased(storage_at(address)):
        pytest.fail("wrote without the right to")


def test_one_build_at_a_time_holds_the_lease(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore.at(address)
    with (
        leased(store),
        pytest.raises(UserError, match=f"process {os.getpid()} on .* writes to {address}"),
        leased(store),
    ):
        pytest.fail("two builds at once")
    assert store.files("") == []
    dead = 2**22 + 1  # no process has this number
    same_name = {"id": "1", "host": socket.gethostname(), "process": dead, "processes": "of another boot"}
    for elsewhere in (
        {"id": "1", "host": "another-machine", "process": 1},
        same_name,
        {"of": "a later version"},
    ):
        store.write_text(LEASE_FILE, json.dumps(elsewhere))
        with pytest.raises(UserError, match=r"its lease ends in [0-9]+ s"), leased(store):
            pytest.fail("its holder may be alive")
    monkeypatch.setattr(lease, "EXPIRES_S", 0.0)
    with leased(store):
        assert json.loads(store.read_text(LEASE_FILE) or "")["host"] == socket.gethostname()


def test_a_run_whose_lease_another_one_has_taken_stops(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.5)
    store = FileStore.at(address)
    began = time.monotonic()

    def lose_it() -> None:
        with leased(store):
            store.write_text(LEASE_FILE, json.dumps({"id": "1", "host": "another-machine", "process": 1}))
            time.sleep(20)

    with pytest.raises(RunError, match="another build has taken the lease"):
        lose_it()
    assert time.monotonic() - began < 15


def test_the_lease_of_a_dead_run_on_this_machine_is_taken_over_at_once(address: str) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    store = FileStore.at(address)
    dead = {"id": "1", "host": socket.gethostname(), "process": ended.pid}
    store.write_text(LEASE_FILE, json.dumps(dead))
    with leased(store):
        assert json.loads(store.read_text(LEASE_FILE) or "")["process"] == os.getpid()


def test_journals_are_continued_on_another_machine(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_copies, "PIECE_BYTES", 1000)
    journals = part_journals(FileStore.at(address))
    journal = journals.journal("part-a")
    for number in range(10):
        journal.append({"key": str(number), "reject": None}, bytes([number]) * 400)
    journal.close()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "cache"))  # another machine: nothing is there
    (tmp_path / "cache").mkdir()
    others = part_journals(FileStore.at(address))
    assert others.parts() == {"part-a"}
    assert [row["key"] for _, row in others.rows("part-a")] == [str(number) for number in range(10)]
    continued = others.journal("part-a")
    continued.append({"key": "more", "reject": None}, b"more")
    continued.close()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # and back: its file is older than the copy
    back = part_journals(FileStore.at(address))
    assert [row["key"] for _, row in back.rows("part-a")][-1] == "more"
    back.remove_all()
    assert FileStore.at(address).files("blobs/downloads") == []
    assert back.parts() == set()


def test_the_log_of_a_build_is_uploaded_and_continued(address: str) -> None:
    store = FileStore.at(address)
    for _ in range(2):
        log = EventLog(store)
        log.write("build_started", {})
        log.write("build_done", {})
        log.upload()
        store.remove_scratch()
    lines = (store.read_text(LOG_FILE) or "").splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["build_started", "build_done"] * 2
