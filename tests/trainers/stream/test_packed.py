"""Files as they lie in the shards, handed out undecoded."""

import io
import tarfile
from pathlib import Path

import pytest

from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.samples.packed import PackedFiles, TakeFiles, pack
from facerefs.trainers.stream.stream import Source, Stream

FILES = {f"{i:03d}": {"a.bin": bytes([i]) * (i + 1), "b.bin": b"b" * (i % 3)} for i in range(12)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with tarfile.open(tmp_path / "train-0.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, files in FILES.items():
            for name, data in files.items():
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
def test_each_file_comes_as_it_lies_in_the_shard(folder: Path, workers: int) -> None:
    stream = Stream([Source(folder)], 4, TakeFiles(("b.bin", "a.bin")), pack, workers=workers)
    seen = []
    for batch in stream.batches(3):
        assert isinstance(batch, PackedFiles)
        for sample in range(4):
            first = bytes(batch.file(sample, "a.bin").numpy())
            assert FILES[f"{first[0]:03d}"] == {
                "a.bin": first,
                "b.bin": bytes(batch.file(sample, "b.bin").numpy()),
            }
            seen.append(first[0])
    stream.close()
    assert sorted(seen) == list(range(12))


def test_a_file_that_is_not_there_spoils_the_sample(folder: Path) -> None:
    stream = Stream([Source(folder)], 4, TakeFiles(("c.bin",)), pack, workers=0)
    with pytest.raises(StreamError, match=r"no file .c\.bin."):
        next(stream)
