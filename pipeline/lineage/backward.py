"""The trace of a sample, a face, a photo or a person in a build: from the photos on, all that was decided."""

from collections.abc import Iterable, Mapping

from facerefs.pipeline.lineage.candidates import choice_of
from facerefs.pipeline.lineage.forward import forward
from facerefs.pipeline.lineage.rows import Row, TableRows
from facerefs.pipeline.lineage.theta import theta_of
from facerefs.pipeline.lineage.trace import Asked, Choice, FaceTrace, Forward, PhotoTrace, SampleTrace, Trace
from facerefs.pipeline.storage.folder import Storage

MOST_CHOICES = 16
"""Targets whose references are explained; of a person with more faces, the pairs alone are given."""


def trace_of(storage: Storage, asked: Asked) -> Trace:
    """All that a build tells of what was asked. Raises RunError for a damaged part."""
    rows = TableRows(storage)
    samples = rows.where("samples", asked.samples, "key")
    targets = [str(sample["target"]) for sample in samples]
    roles = _roles(samples)
    ahead = forward(storage, () if asked.kind == "person" else asked.photos, [*targets, *asked.faces])
    faces = list(dict.fromkeys([*roles, *(str(face["id"]) for face in ahead.faces)]))
    face_rows = _by(rows.where("faces", faces, "id"), "id")
    keys = {*ahead.photos, *asked.photos, *(str(face["key"]) for face in face_rows.values())}
    keys |= {str(row["kept_key"]) for row in ahead.kept_instead}
    identities = _by(rows.where("identities", faces, "face"), "face")
    labels = _by(rows.where("labels", faces, "face"), "face")
    photos = photos_of(rows, keys)
    wanted = targets or [str(face["id"]) for face in ahead.faces]
    choices = [choice_of(rows, target, identities.get(target)) for target in wanted[:MOST_CHOICES]]
    copies = rows.where("copies", faces, "face", "other")
    return Trace(
        place=storage.address,
        whole_build=True,
        asked=asked,
        samples=tuple(_sample(rows, sample, ahead, choices) for sample in samples),
        photos=tuple(photos),
        faces=tuple(
            FaceTrace(
                id=face,
                role=roles.get(face),
                face=face_rows.get(face),
                label=labels.get(face),
                identity=identities.get(face),
                copies=tuple(row for row in copies if face in (row["face"], row["other"])),
            )
            for face in faces
        ),
        choices=tuple(choices),
        overrides=tuple(_overrides(rows, [*keys, *faces], photos, identities, labels)),
        forward=ahead,
        untold=tuple(_untold(rows, photos, len(wanted))),
    )


def photos_of(rows: TableRows, keys: Iterable[str]) -> list[PhotoTrace]:
    """What each table says about photos, in the order of their keys."""
    wanted = sorted(set(keys))
    sources, downloads, images, duplicates = (
        _by(rows.where(table, wanted, "key"), "key")
        for table in ("sources", "downloads", "images", "duplicates")
    )
    ids = {str(image["id"]) for image in images.values() if image["id"] is not None}
    groups = [row for row in rows.where("duplicates", ids, "group") if not row["kept"]]
    return [
        PhotoTrace(
            key=key,
            source=sources.get(key),
            download=downloads.get(key),
            image=images.get(key),
            duplicate=duplicates.get(key),
            dropped_for=tuple(row for row in groups if row["kept_key"] == key and row["key"] != key),
        )
        for key in wanted
    ]


def _roles(samples: Iterable[Row]) -> dict[str, str]:
    """The role of each face in the samples; the target's own synthesised references have none of their own."""
    roles: dict[str, str] = {}
    for sample in samples:
        roles.setdefault(str(sample["target"]), "target")
        for rank, face in enumerate(sample["references"] or ()):
            roles.setdefault(str(face), f"reference {rank}")
    return roles


def _sample(rows: TableRows, sample: Row, ahead: Forward, choices: Iterable[Choice]) -> SampleTrace:
    numbers = {
        pair["given_row"]
        for choice in choices
        if choice.target == sample["target"]
        for pair in choice.chosen
        if pair["given_row"] is not None
    }
    given = [row for row in ahead.given_pairs if row["row"] in numbers and row["degraded_file"] is not None]
    is_given = sample["recipe"] == "given"
    return SampleTrace(
        str(sample["key"]), sample, theta_of(sample["theta"]), given[0] if is_given and given else None
    )


def _overrides(
    rows: TableRows,
    names: list[str],
    photos: Iterable[PhotoTrace],
    identities: Mapping[str, Row],
    labels: Mapping[str, Row],
) -> list[Row]:
    """The lines of `overrides.csv` that name a photo, a face or a person of the trace."""
    ids = [photo.image["id"] for photo in photos if photo.image is not None]
    people = [row[column] for row in identities.values() for column in ("identity", "label")]
    people += [row["label"] for row in labels.values()]
    every = {str(name) for name in (*names, *ids, *people) if name is not None}
    return rows.where("overrides", every, "what", "other")


def _untold(rows: TableRows, photos: Iterable[PhotoTrace], targets: int) -> list[str]:
    said = []
    if not rows.parts("downloads"):
        said.append("fetch decisions (robots, opt-out, attempts): the photos of this build were not fetched")
    if any(photo.source is not None and not photo.source["licence"] for photo in photos):
        said.append("the licence of some photos: their source states none")
    if targets > MOST_CHOICES:
        said.append(
            f"why references were chosen for {targets - MOST_CHOICES} of {targets} faces: ask for one face"
        )
    if not rows.parts("samples"):
        said.append("samples: the build is unfinished")
    return said


def _by(rows: Iterable[Row], column: str) -> dict[str, Row]:
    return {str(row[column]): row for row in rows}
