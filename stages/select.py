"""Select: who helps whom. For every face the photos of the same person that are its best references."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from annotated_types import Ge, Le
from numpy.typing import NDArray

from schemas.reject import Reject
from schemas.tables import PAIRS
from stages.candidates import Candidates, Portraits, candidates
from stages.engines.calibration import calibration_of
from stages.similarity import Floats, Ints, matrix, one_embedder

Cosine = Annotated[float, Ge(-1), Le(1)]

_FREE, _SAME_PHOTO, _TURNED, _UNLIKE, _ALIKE, _COPY = range(6)
_COUNTED = {
    _SAME_PHOTO: "in the same photo",
    _TURNED: "turned too far from it",
    _UNLIKE: "not alike enough",
    _ALIKE: "too much alike",
    _COPY: "copies of it",
}


@dataclass(frozen=True)
class _Chosen:
    """Pairs as arrays of one length: references, and copies that would have been references."""

    target: Ints
    reference: Ints
    rank: Ints  # -1 for a copy
    place: Ints  # rank if copies were allowed
    landmark_distance: Floats
    similarity: Floats
    pose_gap: Floats
    hash_distance: Ints


@dataclass(frozen=True)
class Select:
    """Pair every face that has an identity with its references. A whole stage.

    strategy: `landmark_nearest`, the smallest mean L1 distance of the 68 landmarks in the aligned crop, as
    RPF has it. references: how many per face, best first; a face with fewer than `min_references` has none.
    Never a reference are: a face of the same photo; a
    copy (a cosine of at least `copy_similarity`, by default the embedder's calibration, and either crop hashes
    at most `copy_distance` bits apart, mirrored or not, or landmarks at most `copy_landmarks` of the crop's
    side apart, as after a rotation or with another background); a head turned more than `max_pose_gap_deg`
    away; a cosine outside `min_similarity` to `max_similarity`. An unknown pose fails its limit; an unknown
    hash counts as near.

    Raises ValueError if the faces come from several embedders, or if one lacks landmarks or embedding.
    """

    strategy: Literal["landmark_nearest"] = "landmark_nearest"
    references: Annotated[int, Ge(1), Le(64)] = 1
    min_references: Annotated[int, Ge(1)] = 1
    copy_distance: Annotated[int, Ge(0), Le(64)] = 8
    copy_landmarks: Annotated[float, Ge(0)] = 0.005
    copy_similarity: Cosine | None = None
    min_similarity: Cosine | None = None
    max_similarity: Cosine | None = None
    max_pose_gap_deg: Annotated[float, Ge(0)] | None = None

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "faces": (
            *("id", "part", "image", "landmarks", "crop_size", "embedding", "yaw", "pitch"),
            *("crop_phash", "crop_phash_mirror", "embedder", "reject"),
        ),
        "identities": ("face", "identity", "reject"),
    }
    writes: ClassVar[str] = "pairs"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.min_references > self.references:
            raise ValueError("min_references is more than references")

    def process(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """PAIRS in the order of the targets' ids: references by rank, then copies that would have been one.

        A face without any reference has one row, rejected as NO_REFERENCE.
        """
        faces = _identified(tables["faces"], tables["identities"])
        if not len(faces):
            return PAIRS.empty_table()
        embedder = one_embedder(faces["embedder"])
        copy_similarity = self.copy_similarity
        if copy_similarity is None:
            copy_similarity = calibration_of(embedder).copy
        found: list[_Chosen] = []
        counts = np.zeros((len(faces), len(_COUNTED)), np.int64)
        for block in candidates(_portraits(faces)):
            why_not = self._why_not(block, copy_similarity)
            found.append(_choose(block, why_not, self.references))
            counts[block.target[:, 0]] = np.stack([(why_not == reason).sum(axis=1) for reason in _COUNTED], 1)
        chosen = _Chosen(
            *(np.concatenate([getattr(part, column.name) for part in found]) for column in fields(_Chosen))
        )
        chosen = self._enough(chosen, len(faces))
        tables_out = [self._pairs(faces, chosen, copy_similarity), self._without(faces, chosen, counts)]
        pairs = pa.concat_tables(tables_out, promote_options="default")
        pairs = pairs.append_column("strategy", pa.array([self.strategy] * len(pairs), pa.string()))
        order = [("target", "ascending"), ("place", "ascending")]
        return pairs.sort_by(order).select(PAIRS.names).cast(PAIRS)

    def _why_not(self, block: Candidates, copy_similarity: float) -> Ints:
        """For every candidate the first reason against it, or _FREE. A face itself is of the same photo."""
        nobody = np.zeros(block.reference.shape, bool)
        turned, unlike, alike = nobody, nobody, nobody
        if self.max_pose_gap_deg is not None:
            turned = ~(block.pose_gap <= self.max_pose_gap_deg)
        if self.min_similarity is not None:
            unlike = block.similarity < self.min_similarity
        if self.max_similarity is not None:
            alike = block.similarity > self.max_similarity
        near = (block.hash_distance <= self.copy_distance) | (block.landmark_distance <= self.copy_landmarks)
        copy = near & (block.similarity >= copy_similarity)
        return np.select([block.same_photo, turned, unlike, alike, copy], list(_COUNTED), _FREE)

    def _enough(self, chosen: _Chosen, faces: int) -> _Chosen:
        """Without the references of faces that have too few of them; copies stay, as evidence."""
        numbers = np.bincount(chosen.target[chosen.rank >= 0], minlength=faces)
        stay = (chosen.rank < 0) | (numbers >= self.min_references)[chosen.target]
        return _Chosen(*(getattr(chosen, column.name)[stay] for column in fields(_Chosen)))

    def _why_none(self, refused: Ints) -> str:
        least = self.min_references
        return _refusals(refused) if least == 1 else f"fewer than {least} other photos can be its reference"

    def _pairs(self, faces: pa.Table, chosen: _Chosen, copy_similarity: float) -> pa.Table:
        """References, and the copies after them."""
        copy = chosen.rank < 0
        detail: list[str | None] = [None] * len(copy)
        for row in np.flatnonzero(copy):
            detail[row] = (
                f"crop hashes {chosen.hash_distance[row]} bits apart (up to {self.copy_distance} is near), "
                f"landmarks {chosen.landmark_distance[row]:.4f} (up to {self.copy_landmarks:g} is near), "
                f"cosine {chosen.similarity[row]:.3f} (from {copy_similarity:.3f})"
            )
        reference = faces.select(["id", "part"]).take(pa.array(chosen.reference))
        columns = {
            "reference": reference["id"],
            "rank": pa.array(chosen.rank, pa.int32(), mask=copy),
            "landmark_distance": pa.array(chosen.landmark_distance, pa.float32()),
            "similarity": pa.array(chosen.similarity, pa.float32()),
            "pose_gap": pa.array(chosen.pose_gap, pa.float32(), from_pandas=True),
            "reference_part": reference["part"],
            "reject": pa.array(np.full(len(copy), Reject.COPY.value), pa.string(), mask=~copy),
            "reject_detail": pa.array(detail, pa.string()),
            "place": pa.array(chosen.place + np.where(copy, len(faces), 0)),
        }
        return pa.table(_targets(faces, chosen.target) | columns)

    def _without(self, faces: pa.Table, chosen: _Chosen, counts: Ints) -> pa.Table:
        """The faces that have no reference, one row each."""
        paired = np.zeros(len(faces), bool)
        paired[chosen.target[chosen.rank >= 0]] = True
        rows = np.flatnonzero(~paired)
        columns = {
            "reject": pa.array([Reject.NO_REFERENCE.value] * len(rows), pa.string()),
            "reject_detail": pa.array([self._why_none(counts[row]) for row in rows], pa.string()),
            "place": pa.array(np.full(len(rows), 2 * len(faces))),
        }
        return pa.table(_targets(faces, rows) | columns)


def _choose(block: Candidates, why_not: Ints, references: int) -> _Chosen:
    """The `references` nearest free candidates of each target, and copies that rank among the nearest."""
    eligible = (why_not == _FREE) | (why_not == _COPY)
    order = np.argsort(np.where(eligible, block.landmark_distance, np.inf), axis=1, kind="stable")
    sorted_why = np.take_along_axis(why_not, order, axis=1)
    free = sorted_why == _FREE
    rank = np.cumsum(free, axis=1) - 1
    chosen = free & (rank < references)
    refused = sorted_why == _COPY
    refused[:, references:] = False
    row, place = np.nonzero(chosen | refused)
    at = row, order[row, place]
    return _Chosen(
        target=block.target[row, 0],
        reference=block.reference[at],
        rank=np.where(free[row, place], rank[row, place], -1),
        place=place,
        landmark_distance=block.landmark_distance[at],
        similarity=block.similarity[at],
        pose_gap=block.pose_gap[at],
        hash_distance=block.hash_distance[at],
    )


def _refusals(counts: Ints) -> str:
    """Why a face has no reference, from the number of candidates that each rule refused."""
    others = int(counts.sum()) - 1  # the face itself is counted as one of the same photo
    if others == 0:
        return "the only photo of the person"
    numbers = dict(zip(_COUNTED, counts.tolist(), strict=True))
    numbers[_SAME_PHOTO] -= 1
    refused = [f"{number} {_COUNTED[reason]}" for reason, number in numbers.items() if number]
    return f"of {others} other faces of the person: {', '.join(refused)}"


def _identified(faces: pa.Table, identities: pa.Table) -> pa.Table:
    """Faces that are not rejected and have an identity, with it as a column, in the order of their ids."""
    known = identities.filter(pc.and_(pc.is_null(identities["reject"]), pc.is_valid(identities["identity"])))
    place = pc.index_in(faces["id"], value_set=known["face"].combine_chunks())
    faces = faces.append_column("identity", known["identity"].combine_chunks().take(place))
    return faces.filter(pc.and_(pc.is_null(faces["reject"]), pc.is_valid(place))).sort_by("id")


def _portraits(faces: pa.Table) -> Portraits:
    def numbered(name: str) -> Ints:
        return np.unique(np.array(faces[name].to_pylist(), str), return_inverse=True)[1]

    def hashes(name: str) -> NDArray[np.uint64]:
        return np.asarray(faces[name].fill_null(0).to_numpy(), np.uint64)

    crop_size = faces["crop_size"].to_numpy().astype(np.float32)
    return Portraits(
        identity=numbered("identity"),
        image=numbered("image"),
        landmarks=matrix(faces["landmarks"]) / crop_size[:, None],
        vectors=matrix(faces["embedding"]),
        yaw=faces["yaw"].to_numpy().astype(np.float32),
        pitch=faces["pitch"].to_numpy().astype(np.float32),
        phash=hashes("crop_phash"),
        phash_mirror=hashes("crop_phash_mirror"),
        phash_known=pc.and_(
            pc.is_valid(faces["crop_phash"]), pc.is_valid(faces["crop_phash_mirror"])
        ).to_numpy(),
    )


def _targets(faces: pa.Table, rows: Ints) -> dict[str, pa.ChunkedArray]:
    target = faces.select(["id", "identity", "part"]).take(pa.array(rows))
    return {"target": target["id"], "identity": target["identity"], "target_part": target["part"]}
