"""One photo under two labels: the faces decide whose it is, and only where labels are ignored is it a mere copy."""

import io
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from facerefs.pipeline.commands.build import BuildOptions, build_command
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.reject import Reject
from facerefs.stages.synthetic_people.folder import write_people

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_for_two")]


def build(photos: Path, out: Path, labels: str) -> Storage:
    settings = ("analyse.niqe=false", "analyse.min_face_px=100")
    options = BuildOptions(str(photos), out, settings=settings, labels=labels, update=True)
    build_command(options, Console(file=io.StringIO()))
    return Storage(str(out))


def rejects(storage: Storage, table: str, name: str) -> dict[str, str | None]:
    return {row[name]: row["reject"] for row in storage.scan(table, (name, "reject")).to_pylist()}


def test_near_copies_under_two_labels_are_judged_by_their_faces_unless_labels_are_ignored(
    tmp_path: Path,
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "set"
    (original,) = write_people(photos, identities=1, per_identity=1, size_px=400, seed=3)
    (photos / "someone else").mkdir()
    Image.open(original).resize((320, 320)).save(photos / "someone else" / "copy.jpg", quality=90)

    storage = build(photos, out, labels="trust")
    assert rejects(storage, "duplicates", "key") == {}
    assert sorted(rejects(storage, "identities", "face").values(), key=str) == [None, Reject.SECOND_NAME]

    storage = build(photos, out, labels="ignore")
    key = f"{original.parent.name}/{original.name}"
    assert rejects(storage, "duplicates", "key") == {
        key: None,
        "someone else/copy.jpg": Reject.DUPLICATE_NEAR,
    }
    assert len(rejects(storage, "faces", "id")) == 1
