"""Files in tars, found by headers alone: every kind of header, and bytes that were made to do harm."""

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.schemas.tar_members import BLOCK, Member, TarDamagedError, members, plain_files

LIMIT = 1 << 16  # of an extended header


def file(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, form: int = tarfile.PAX_FORMAT
) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    return info.tobuf(form) + data + bytes(-len(data) % BLOCK)


def pax(records: bytes) -> bytes:
    return file("pax", records, tarfile.XHDTYPE)


@contextmanager
def opened(path: Path, data: bytes) -> Iterator[int]:
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


END = bytes(2 * BLOCK)


def test_a_stretch_of_a_tar_is_read_without_a_mark_of_its_end(tmp_path: Path) -> None:
    first, second = file("a", b"1"), file("b", b"22")
    with opened(tmp_path / "x.tar", first + second + file("c")) as descriptor:
        (found,) = members(descriptor, len(first), len(first + second))
        assert found == Member(b"b", len(first), len(first) + BLOCK, 2)
        assert found.end == len(first + second)
        assert [member.name for member in members(descriptor, 0, len(first))] == [b"a"]
        with pytest.raises(TarDamagedError, match="it ends early, at byte"):
            list(members(descriptor))


def test_a_long_name_belongs_to_its_file_and_to_no_other(tmp_path: Path) -> None:
    long = "x" * 150
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with opened(
            tmp_path / "x.tar", file("a") + file(long, b"1", form=form) + file("b") + END
        ) as descriptor:
            found = list(members(descriptor))
        assert [member.name for member in found] == [b"a", long.encode(), b"b"]
        assert [member.header for member in found[1:]] == [found[0].end, found[1].end]


def test_plain_files_pass_over_links_folders_and_labels(tmp_path: Path) -> None:
    odd = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, b"V"]
    data = b"".join(file("odd", kind=kind) for kind in odd) + file("a") + END
    with opened(tmp_path / "x.tar", data) as descriptor:
        assert [member.name for member in plain_files(descriptor)] == [b"a"]
        assert [member.oddity is None for member in members(descriptor)] == [False] * 5 + [True]


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        (file("s", b"x" * 8, tarfile.GNUTYPE_SPARSE), "is a sparse file"),
        (pax(b"22 GNU.sparse.major=1\n") + file("s"), "is a sparse file"),
        (file("z", b"1", b"Z"), "of the unknown type"),
        (pax(b"5 a=\n" * (LIMIT // 5 + 1)) + file("p"), f"more than {LIMIT} bytes"),
        (file("l", b"x" * (LIMIT + 1), tarfile.GNUTYPE_LONGNAME) + file("p"), f"more than {LIMIT} bytes"),
    ],
)
def test_a_file_that_cannot_be_read_as_it_is_is_never_passed_over(
    tmp_path: Path, odd: bytes, sentence: str
) -> None:
    with opened(tmp_path / "x.tar", odd + file("a") + END) as descriptor:
        with pytest.raises(TarDamagedError, match=sentence):
            list(plain_files(descriptor))
        found = list(members(descriptor))
        assert sentence.removeprefix("is ") in str(found[0].oddity)
        assert found[1] == Member(b"a", found[0].end, found[0].end + BLOCK, 0)


@pytest.mark.parametrize("digits", [b"9" * 5000, b"-5", b"+5", b"", b"1_0"])
def test_a_pax_size_that_is_no_number_of_bytes_is_damage(tmp_path: Path, digits: bytes) -> None:
    length = next(n for n in range(10_000) if n == len(f"{n} size=\n") + len(digits))
    with (
        opened(
            tmp_path / "x.tar", pax(f"{length} size=".encode() + digits + b"\n") + file("a")
        ) as descriptor,
        pytest.raises(TarDamagedError, match="makes no sense"),
    ):
        list(members(descriptor))


@given(st.data())
def test_no_bytes_make_the_walk_fail_in_any_other_way(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("a.jpg", "ü" * 80 + ".jpg", "b.jpg"):
            info = tarfile.TarInfo(name)
            info.size = 700
            archive.addfile(info, io.BytesIO(bytes(700)))
    spoilt = bytearray(buffer.getvalue()[: data.draw(st.integers(0, 6000))])
    for place in data.draw(st.lists(st.integers(0, max(len(spoilt) - 1, 0)), max_size=4)):
        if spoilt:
            spoilt[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.sampled_from([None, len(spoilt)]))
    with opened(tmp_path_factory.getbasetemp() / "fuzzed.tar", bytes(spoilt)) as descriptor:
        try:
            for member in members(descriptor, 0, end):
                assert 0 <= member.header < member.offset <= member.offset + member.length <= len(spoilt)
        except TarDamagedError:
            pass
