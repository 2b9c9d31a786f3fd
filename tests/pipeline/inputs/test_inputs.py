"""What analyse reads: the kept photos, with all labels and boxes that the list gives for their bytes."""

import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from facerefs.pipeline.inputs import KeptPhotos
from facerefs.pipeline.storage.fingerprint import rows_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import IMAGES
from facerefs.stages.dedupe import Dedupe

LEFT, RIGHT = [10.0, 20.0, 110.0, 140.0], [200.0, 20.0, 300.0, 140.0]


def image(key: str, id_: str, phash: int, label: str | None = None, **facts: Any) -> dict[str, Any]:
    """A row of `images`; ids that differ in their hash are different photos."""
    row = dict.fromkeys(IMAGES.names) | {"key": key, "id": id_, "label": label, "phash": phash}
    row |= {"phash_mirror": phash ^ 0xAAAA_AAAA_AAAA_AAAA, "detail_hash": bytes(32)}
    return row | {"width": 512, "height": 512, "bytes": 1000} | facts


def kept_photos(folder: Path, *parts: list[dict[str, Any]]) -> KeptPhotos:
    """The input of analyse after a crawl that gave these parts, and dedupe."""
    storage = Storage(str(folder))
    for number, rows in enumerate(parts):
        with storage.writing("images", f"part-{number:05d}", "fingerprint") as part:
            part.add(pa.Table.from_pylist(rows, IMAGES))
    duplicates = Dedupe().process(
        {name: storage.scan(name, columns) for name, columns in Dedupe.reads.items()}
    )
    with storage.writing("duplicates", "part-00000", "fingerprint") as part:
        part.add(duplicates)
    return KeptPhotos(storage)


def said(photos: KeptPhotos) -> dict[str, list[tuple[str, list[float] | None]]]:
    """Key of each photo that goes on -> what is said of it."""
    rows = pa.concat_tables(photos.read(name) for name in photos.names())
    return {row["key"]: [(one["label"], one["box"]) for one in row["said"]] for row in rows.to_pylist()}


def test_a_photo_that_is_listed_for_two_people_has_both_labels_and_boxes(tmp_path: Path) -> None:
    first = [image("a", "other", 0xFFFF, "eve"), image("ann/1", "both", 0, "ann", box=LEFT)]
    second = [image("bob/1", "both", 0, "bob", box=RIGHT), image("z", "third", 0xFFFF_0000)]
    photos = kept_photos(tmp_path, first, second)
    assert said(photos) == {
        "a": [("eve", None)],
        "ann/1": [("ann", LEFT), ("bob", RIGHT)],
        "z": [],
    }
    duplicates = {row["key"]: row["reject"] for row in photos.storage.scan("duplicates").to_pylist()}
    assert duplicates == {"ann/1": None, "bob/1": Reject.DUPLICATE_EXACT}


def test_the_kept_photo_speaks_first_then_its_copies_in_the_order_of_their_keys(tmp_path: Path) -> None:
    """Parts are no order: the kept row may come after its copies, in another part."""
    first = [image("d", "same", 0, "dan", box=RIGHT), image("c", "same", 0, "cy")]
    second = [image("b", "same", 0), image("a", "same", 0, "ann"), image("e", "same", 0, "ann")]
    photos = kept_photos(tmp_path, first, second)
    assert said(photos) == {"a": [("ann", None), ("cy", None), ("dan", RIGHT), ("ann", None)]}
    assert len(photos.read("part-00000")) == 0


def test_near_copies_and_rejected_rows_say_nothing(tmp_path: Path) -> None:
    rows = [
        image("large", "large", 0, "ann", width=1024, height=1024),
        image("small", "small", 1, "bob", box=LEFT),
        image("small again", "small", 1, "cy", box=RIGHT),
        image("broken", "large", 0, "dan", width=1024, height=1024, reject=Reject.UNREADABLE),
    ]
    assert said(kept_photos(tmp_path, rows)) == {"large": [("ann", None)]}


def test_without_duplicates_every_photo_has_its_own_label(tmp_path: Path) -> None:
    photos = kept_photos(tmp_path, [image("a", "a", 0, "ann", box=LEFT), image("b", "b", 0xFFFF)])
    assert len(photos.storage.scan("duplicates")) == 0
    assert said(photos) == {"a": [("ann", LEFT)], "b": []}


@pytest.mark.parametrize("change", [{"label": "eve"}, {"box": LEFT}, {"box": None}, {"id": "another"}])
def test_a_part_is_another_one_when_something_else_is_said_of_its_photos(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """What is said may stand in another part: the part of the photo has to be redone all the same."""
    first, second = image("a", "same", 0, "ann", box=LEFT), image("b", "same", 0, "bob", box=RIGHT)
    changed = second | change
    before, same, after = (
        rows_digest(kept_photos(tmp_path / name, [first], [row]).read("part-00000"))
        for name, row in (("before", second), ("same", second), ("after", changed))
    )
    assert before == same
    assert before != after


def test_a_worker_reads_what_the_driver_read(tmp_path: Path) -> None:
    photos = kept_photos(tmp_path, [image("a", "same", 0, "ann")], [image("b", "same", 0, "bob")])
    rows = photos.read("part-00000")
    assert pickle.loads(pickle.dumps(photos)).read("part-00000").equals(rows)
    assert rows.schema.names == [*IMAGES.names, "said"]
