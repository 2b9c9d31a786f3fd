"""Crawl: one row for every photo, whatever its bytes are."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import BLOB, IMAGES, SOURCES, loaded
from facerefs.stages.crawl import Crawl
from facerefs.stages.images.detail import detail_scale
from facerefs.stages.images.hashing import detail_hash, perceptual_hashes
from facerefs.stages.images.local_difference import thumbnail
from facerefs.stages.sources.folder import open_folder
from tests.hostile import encoded, hostile_files, odd_photos, oriented, portrait


def attached(sources: pa.Table) -> pa.Table:
    """The rows as a stage gets them: bytes in `photo`, their place in `photo_at`."""
    sources = sources.select(Crawl.reads["sources"])
    places = sources.column("photo")
    data = [None if at is None else Path(at["path"]).read_bytes() for at in places.to_pylist()]
    index = sources.column_names.index("photo")
    return sources.set_column(index, "photo", pa.array(data, pa.large_binary())).append_column(
        "photo_at", places
    )


def crawl(root: Path, files: dict[str, bytes], stage: Crawl = Crawl()) -> pa.Table:  # noqa: B008
    for name, data in files.items():
        (root / name).write_bytes(data)
    return stage.process(attached(pa.concat_tables(open_folder(root).rows())))


def by_key(images: pa.Table) -> dict[str, dict[str, object]]:
    return {row["key"]: row for row in images.to_pylist()}


def test_a_photo_is_described_and_referenced_where_it_lies(tmp_path: Path) -> None:
    data = encoded(portrait(), "PNG")
    images = crawl(tmp_path, {"1.png": data})
    assert images.schema == IMAGES
    (row,) = images.to_pylist()
    phash, phash_mirror = perceptual_hashes(np.asarray(portrait()))
    assert row == dict.fromkeys(IMAGES.names) | {
        "key": "1.png",
        "id": hashlib.sha256(data).hexdigest(),
        "format": "PNG",
        "bytes": len(data),
        "width": 96,
        "height": 128,
        "phash": phash,
        "phash_mirror": phash_mirror,
        "detail_hash": detail_hash(np.asarray(portrait())),
        "thumbnail": thumbnail(np.asarray(portrait())),
        "detail_scale": pytest.approx(detail_scale(np.asarray(portrait()))),
        "photo": {"path": str(tmp_path / "1.png"), "offset": 0, "length": len(data)},
    }


def test_every_hostile_file_becomes_a_rejected_row(tmp_path: Path) -> None:
    hostile = {name: file for name, file in hostile_files().items() if not name.endswith(".svg")}
    odd = odd_photos()
    rows = by_key(crawl(tmp_path, {name: data for name, (data, _) in hostile.items()} | odd))
    assert set(rows) == set(hostile) | set(odd)
    for name, (data, reject) in hostile.items():
        assert rows[name]["reject"] == reject
        assert rows[name]["reject_detail"]
        assert rows[name]["id"] == hashlib.sha256(data).hexdigest()
        assert rows[name]["photo"] is not None
    for name in odd:
        assert rows[name]["reject"] is None


def test_sizes_are_upright(tmp_path: Path) -> None:
    rows = by_key(crawl(tmp_path, {f"{i}.jpg": oriented(portrait(), i) for i in (1, 6)}))
    assert (rows["1.jpg"]["width"], rows["1.jpg"]["height"]) == (96, 128)
    assert (rows["6.jpg"]["width"], rows["6.jpg"]["height"]) == (128, 96)


def test_a_copy_carries_the_bytes_of_accepted_photos_only(tmp_path: Path) -> None:
    files = {"1.png": encoded(portrait(), "PNG"), "2.png": b"none"}
    images = crawl(tmp_path, files, Crawl(copy=True))
    assert images.schema == loaded(IMAGES)
    assert images.column("photo").to_pylist() == [files["1.png"], None]


def test_a_photo_without_a_place_is_a_rejected_row() -> None:
    (row,) = Crawl().process(attached(pa.Table.from_pylist([{"key": "k"}], SOURCES))).to_pylist()
    assert (row["key"], row["reject"], row["id"], row["photo"]) == ("k", Reject.UNREADABLE, None, None)


@pytest.mark.parametrize(
    ("stage", "reject"),
    [
        (Crawl(max_bytes=100), Reject.TOO_MANY_BYTES),
        (Crawl(max_pixels=1000), Reject.TOO_MANY_PIXELS),
        (Crawl(min_side_px=97), Reject.TOO_SMALL),
    ],
)
def test_limits_are_configuration(tmp_path: Path, stage: Crawl, reject: Reject) -> None:
    (row,) = crawl(tmp_path, {"1.png": encoded(portrait(), "PNG")}, stage).to_pylist()
    assert row["reject"] == reject


def test_a_file_too_large_to_load_is_rejected_as_such() -> None:
    """Storage need not load what the listing already shows to be too large."""
    place = {"path": "/huge.jpg", "offset": 0, "length": 10**12}
    sources = pa.table(
        {
            **{name: pa.array([None], SOURCES.field(name).type) for name in SOURCES.names},
            "key": ["huge.jpg"],
            "photo": pa.array([None], pa.large_binary()),
            "photo_at": pa.array([place], BLOB),
        }
    )
    (row,) = Crawl().process(sources).to_pylist()
    assert row["reject"] == Reject.TOO_MANY_BYTES
    assert row["bytes"] == 10**12


def test_no_rows_give_no_rows() -> None:
    assert Crawl().process(attached(SOURCES.empty_table())).equals(IMAGES.empty_table())
