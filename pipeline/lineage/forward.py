"""From photos forward: their copies, faces, people, pairs, and every sample that uses them."""

import posixpath
from collections.abc import Collection, Iterable
from typing import Any

from facerefs.pipeline.lineage.rows import Row, TableRows
from facerefs.pipeline.lineage.trace import Forward, Role, Use
from facerefs.pipeline.storage.folder import Storage


def forward(storage: Storage, keys: Collection[str] = (), faces: Collection[str] = ()) -> Forward:
    """All that came of some photos of a build, and of the photos of some faces, with every sample that uses them.

    keys: as in `sources`. faces: ids; of their photos no other face counts. Raises RunError for a damaged part.
    """
    rows = TableRows(storage)
    of_faces = rows.where("faces", faces, "id")
    photos = set(keys) | _values(of_faces, "key")
    images = _values(rows.where("images", photos, "key", columns=("key", "id")), "id")
    same = _values(rows.where("images", images, "id", columns=("key", "id")), "key") - photos
    of_photos = rows.where("faces", set(keys), "key") if keys else []
    of_bytes = rows.where("faces", _images_of(rows, keys), "image") if keys else []
    found = _once([*of_faces, *of_photos, *of_bytes], "id")
    ids = [str(face["id"]) for face in found]
    duplicates = rows.where("duplicates", images, "id", "group")
    pairs = rows.where("pairs", ids, "target", "reference")
    return Forward(
        photos=tuple(sorted(photos)),
        images=tuple(sorted(images)),
        same_bytes=tuple(sorted(same)),
        dropped_for=tuple(
            row
            for row in duplicates
            if not row["kept"] and (row["kept_key"] in photos or row["group"] in images)
        ),
        kept_instead=tuple(row for row in duplicates if not row["kept"] and row["key"] in photos),
        faces=tuple(found),
        identities=tuple(rows.where("identities", ids, "face")),
        elsewhere=tuple(rows.where("made_elsewhere", ids, "target")),
        pairs=tuple(pairs),
        given_pairs=tuple(_published(rows, pairs, photos)),
        uses=tuple(uses_of(rows, ids, pairs)),
    )


def uses_of(rows: TableRows, faces: Collection[str], pairs: Collection[Row]) -> list[Use]:
    """Every sample that uses one of the faces, in the order of the keys. pairs: those of the faces."""
    wanted = set(faces)
    columns = ("key", "split", "recipe", "target", "references")
    samples = [
        sample
        for sample in rows.where("samples", wanted, "target", "references", columns=(*columns, "reject"))
        if sample["reject"] is None
    ]
    made = {(pair["target"], pair["rank"]): pair for pair in pairs if pair["rank"] is not None}
    found = []
    for sample in samples:
        for face, role, rank in _roles(sample, made):
            if face in wanted:
                found.append(
                    Use(sample["key"], sample["split"], sample["recipe"], sample["part"], face, role, rank)
                )
    return sorted(found, key=lambda use: (use.sample, -1 if use.rank is None else use.rank))


def _roles(sample: Row, made: dict[tuple[str, int], Row]) -> Iterable[tuple[str, Role, int | None]]:
    """The faces of a sample, with their roles and ranks."""
    target = sample["target"]
    yield target, "target", None
    for rank, face in enumerate(sample["references"] or ()):
        if face != target:
            yield face, "reference", rank
        else:
            pair = made.get((target, rank), {})
            yield face, "made elsewhere" if pair.get("elsewhere") else "synthesised", rank


def _published(rows: TableRows, pairs: Collection[Row], photos: Collection[str]) -> list[Row]:
    """The rows of published lists that led to these pairs, and those that name a photo by key or file name."""
    numbers = {pair["given_row"] for pair in pairs if pair["given_row"] is not None}
    names = {*photos, *(posixpath.basename(key) for key in photos)}
    named = rows.where("given_pairs", names, "target", "references")
    return _once([*rows.numbered("given_pairs", numbers, "row"), *named], "row")


def _images_of(rows: TableRows, keys: Collection[str]) -> set[str]:
    return _values(rows.where("images", keys, "key", columns=("key", "id")), "id")


def _values(rows: Iterable[Row], column: str) -> set[str]:
    return {str(row[column]) for row in rows if row[column] is not None}


def _once(rows: Iterable[Row], column: str) -> list[Row]:
    """The rows, of those with the same value in a column only one, sorted by it."""
    by_value: dict[Any, Row] = {row[column]: row for row in rows}
    return [by_value[value] for value in sorted(by_value)]
