"""Select: choose reference photos for each face, from the other photos of the same person."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from annotated_types import Ge, Le
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s, UInt64s
from facerefs.schemas.sample import MAX_REFERENCES
from facerefs.schemas.tables import PAIRS
from facerefs.stages.copies.copy_rule import CopyRule, Cosine
from facerefs.stages.executor import IN_PROCESS
from facerefs.stages.references import rows
from facerefs.stages.references.chance import chances, hashed
from facerefs.stages.references.choice import ChosenPairs, Scores, best, chosen_pairs, farthest, refused
from facerefs.stages.references.comparison import Compared, compared
from facerefs.stages.references.component_fit import fit_distance
from facerefs.stages.references.face_arrays import Block, FaceArrays, blocks, face_arrays
from facerefs.stages.references.pair_overrides import PairOverrideLookup, pair_override_lookup
from facerefs.stages.references.pieces import FACES_PER_PIECE, FoundReferences, People, grouped
from facerefs.stages.references.reasons import (
    ALLOWED,
    BRISQUE,
    NIQE,
    NOT_SHARP,
    POSE_TOO_FAR,
    SAME_PHOTO,
    SMALL,
    TOO_DIFFERENT,
    TOO_SIMILAR,
    Reasons,
    count_reasons,
    reason_sentences,
    reasons_of_kinds,
)
from facerefs.stages.references.same_shot import pair_kinds
from facerefs.stages.room import IN_MEMORY, Room
from facerefs.stages.stage import SHARED

PAIRS_PER_BLOCK = 4096
_TARGETS_AT_ONCE = 65_536
Strategy = Literal["landmark_nearest", "component_affine", "diverse", "random"]


@dataclass(frozen=True)
class Select:
    """Pair every face that has an identity with its references. A whole stage.

    strategy: how the faces of the person are ranked, best first; of equally good ones the smaller id comes first:
      `landmark_nearest`, as RPF: the smallest mean L1 distance of the 68 landmarks in the aligned crop;
      `component_affine`, as ASFFNet: where eyes, brows and mouth fit best after an affine map each;
      `diverse`, as FFHQ-Ref: farthest-point sampling by cosine, from the landmark-nearest on (choice);
      `random`: at random, from `seed` and the ids of the two faces alone.
    synthesise: as ENTED needs.

    These faces are never a reference: a face of the same photo; one whose `face_px` is less than `min_size_ratio`
    times the side of the target's crop (1: the reference is not enlarged more than the crop); one beyond
    `min_reference_sharpness`, `max_reference_niqe`, `max_reference_brisque`; one whose pose differs by more than
    `max_pose_gap_deg`; one with a cosine outside `min_similarity` to `max_similarity` (a cosine distance is 1 less the
    cosine: FFHQ-Ref's "one person below 0.4, no copy from 0.1 on" is 0.6 to 0.9 for ArcFace); one that by `rule`
    is or may be the same shot, or, unless `same_session`, of the same session. An unknown figure fails its
    limit. `overrides.csv` comes before `rule`, not before the limits.

    Raises ValueError if the faces come from several embedders, or if one lacks landmarks or embedding.
    """

    strategy: Strategy = "landmark_nearest"
    """Which faces of the person come first as references: the nearest landmarks, the best fit of eyes and mouth,
    the most diverse, or random ones."""
    references: Annotated[int, Ge(1), Le(MAX_REFERENCES)] = 1
    """How many references a face gets at most."""
    min_references: Annotated[int, Ge(1)] = 1
    """Fewest references with which a face is kept as a target."""
    synthesise: Annotated[int, Ge(0), Le(MAX_REFERENCES)] = 0
    """How many references are made of the face itself where it has no other, each with numbers of its own."""
    synthesise_beside: bool = False
    """Whether a face that has other references gets as many synthesised ones as well, after the others."""
    seed: Annotated[int, Ge(0), Le(2**63 - 1)] = 0
    """Seed of the strategy `random` and of synthesised references."""
    rule: CopyRule = field(default_factory=CopyRule, metadata=SHARED)
    same_session: bool = False
    """Whether a shot of the same session may be a reference."""
    min_similarity: Cosine | None = None
    """Least cosine of a reference's embedding to the target's; null sets no limit."""
    max_similarity: Cosine | None = None
    """Largest cosine of a reference's embedding to the target's; null sets no limit."""
    max_pose_gap_deg: Annotated[float, Ge(0)] | None = None
    """Most degrees by which the head of a reference may be turned otherwise than the target's; null sets no limit."""
    min_size_ratio: Annotated[float, Ge(0)] | None = None
    """Least `face_px` of a reference as a share of the side of the target's crop; null sets no limit."""
    min_reference_sharpness: float | None = None
    """Least sharpness of a reference, the variance of its Laplacian; null sets no limit."""
    max_reference_niqe: float | None = None
    """Highest NIQE of a reference, where lower is better; null sets no limit."""
    max_reference_brisque: float | None = None
    """Highest BRISQUE of a reference, where lower is better; null sets no limit."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "faces": (
            *("id", "part", "image", "landmarks", "crop_size", "embedding", "yaw", "pitch", "face_px"),
            *("sharpness", "niqe", "brisque", "crop_phash", "crop_phash_mirror", "embedder", "reject"),
        ),
        "identities": ("face", "identity", "reject"),
        "overrides": ("line", "decision", "what", "other"),
        "made_elsewhere": (
            *("target", "file", "landmark_distance", "similarity", "pose_gap", "elsewhere", "reject"),
        ),
    }
    writes: ClassVar[str] = "pairs"
    version: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if self.min_references > self.references:
            raise ValueError("min_references is more than references")
        if self.synthesise_beside and not self.synthesise:
            raise ValueError("synthesise_beside needs synthesise: how many references are made of a face")
        if self.synthesise_beside and self.references + self.synthesise > MAX_REFERENCES:
            raise ValueError(f"references and synthesise are more than {MAX_REFERENCES} together")
        least, most = self.min_similarity, self.max_similarity
        if least is not None and most is not None and least > most:
            raise ValueError("min_similarity is more than max_similarity")

    def process(self, tables: Mapping[str, pa.Table], room: Room = IN_MEMORY) -> pa.Table:
        """PAIRS in the order of the targets' ids: references by rank, then refused copies and session shots.

        Refused (COPY, SESSION) are those that `rule` or an override line refuses, and that would otherwise be among
        the first `references` (with `diverse`: among the landmark-nearest). A face without any reference has one row,
        rejected as NO_REFERENCE, or rows of its synthesised references. References made elsewhere come after photos
        and before synthesised ones.
        """
        faces = face_arrays(tables["faces"], tables["identities"], room)
        if not len(faces):
            return PAIRS.empty_table()
        rule = self.rule.calibrated(faces.embedder)
        overrides = pair_override_lookup(tables["overrides"], faces.id)
        people = People(faces, overrides, self._unfit(faces), hashed(faces.id))
        groups = list(grouped(blocks(faces.size, PAIRS_PER_BLOCK)))
        executor = room.executor(len(faces)) if faces.size.max() <= FACES_PER_PIECE else None
        work = partial(self.references_of, rule)
        found = (executor or IN_PROCESS).map(work, (people.piece(group) for group in groups))
        joined = FoundReferences.concatenated(
            [part.moved(group[0].first) for group, part in zip(groups, found, strict=True)]
        )
        without, why_few = joined.without, joined.why_few
        pairs_found = _without_targets(without, joined.pairs, len(faces))
        before = np.bincount(pairs_found.target[pairs_found.rank >= 0], minlength=len(faces))
        most = MAX_REFERENCES - self.references - self.synthesise * self.synthesise_beside
        elsewhere = rows.elsewhere_rows(faces, tables["made_elsewhere"], before, most)
        before = before + np.bincount(elsewhere["target"].to_numpy(), minlength=len(faces))
        alone = before[without] == 0
        without, why_few = without[alone], why_few[alone]
        others = np.arange(len(faces)) if self.synthesise and self.synthesise_beside else without
        in_blocks = (
            _in_order(faces.order[targets], len(faces))
            for targets in (pairs_found.target, elsewhere["target"].to_numpy(), others)
        )
        return pa.concat_tables(
            rows.assemble(
                faces,
                [
                    self._photo_rows(faces, pairs_found.take(pairs), rule, overrides),
                    elsewhere.take(pa.array(made)),
                    self._other_rows(faces, others[at], before, None if self.synthesise else why_few[at]),
                ],
            )
            for pairs, made, at in zip(*in_blocks, strict=True)
        )

    def references_of(self, rule: CopyRule, people: People, blocks_of: list[Block]) -> FoundReferences:
        """The references of all targets of some blocks. rule: calibrated."""
        faces = people.faces
        found = []
        for block in blocks_of:
            pairs = compared(faces, block)
            kinds = pair_kinds(faces, block, pairs, rule, people.overrides)
            why = self._why_not(faces, block, pairs, people.unfit, reasons_of_kinds(kinds, self.same_session))
            chosen = self._chosen(faces, block, pairs, why, people.numbers)
            person, target = np.nonzero((why == ALLOWED).sum(axis=2) < self.min_references)
            without = block.target(person, target)
            found.append(FoundReferences(chosen, without, count_reasons(why[person, target])))
        return FoundReferences.concatenated(found)

    def _photo_rows(
        self, faces: FaceArrays, pairs: ChosenPairs, rule: CopyRule, overrides: PairOverrideLookup
    ) -> pa.Table:
        why_refused = rows.refusal_details(faces, pairs.take(pairs.rank < 0), rule, overrides)
        return rows.photo_rows(faces, pairs, why_refused, self.strategy)

    def _other_rows(
        self, faces: FaceArrays, targets: Int64s, before: Int64s, why_few: NDArray[np.int32] | None
    ) -> pa.Table:
        """Rows of the targets' synthesised references, after those `before`; else why each of them has none."""
        if why_few is None:
            return rows.synthesised_rows(faces, targets, before[targets], self.synthesise, self.seed)
        why_none = reason_sentences(why_few, self.min_references)
        return rows.unreferenced_rows(targets, why_none, self.strategy)

    def _unfit(self, faces: FaceArrays) -> Reasons:
        """For each face the reason why it is no reference for anybody, or ALLOWED."""
        limits = (
            (NOT_SHARP, faces.sharpness, self.min_reference_sharpness, np.greater_equal),
            (NIQE, faces.niqe, self.max_reference_niqe, np.less_equal),
            (BRISQUE, faces.brisque, self.max_reference_brisque, np.less_equal),
        )
        unfit = np.full(len(faces), ALLOWED, np.uint8)
        for reason, values, limit, within in limits:
            if limit is not None:
                unfit[(unfit == ALLOWED) & ~within(values, limit)] = reason
        return unfit

    def _why_not(
        self, faces: FaceArrays, block: Block, pairs: Compared, unfit: Reasons, shots: Reasons
    ) -> Reasons:
        """For each pair of a block the first reason against it, or ALLOWED. A face with itself is in the same photo."""
        why = np.where(pairs.same_photo, np.uint8(SAME_PHOTO), np.uint8(ALLOWED))

        def refuse(reason: int, pairs: NDArray[np.bool_]) -> None:
            why[(why == ALLOWED) & pairs] = reason

        if self.min_size_ratio is not None:
            least = self.min_size_ratio * block.targets(faces.crop_size)
            refuse(SMALL, ~(block.references(faces.face_px)[:, None] >= least[:, :, None]))
        if unfit.any():
            np.copyto(why, block.references(unfit)[:, None], where=why == ALLOWED)
        if self.max_pose_gap_deg is not None:
            refuse(POSE_TOO_FAR, ~(pairs.pose_gap <= self.max_pose_gap_deg))
        if self.min_similarity is not None:
            refuse(TOO_DIFFERENT, pairs.similarity < self.min_similarity)
        if self.max_similarity is not None:
            refuse(TOO_SIMILAR, pairs.similarity > self.max_similarity)
        np.copyto(why, shots, where=why == ALLOWED)
        return why

    def _chosen(
        self, faces: FaceArrays, block: Block, pairs: Compared, why: Reasons, numbers: UInt64s
    ) -> ChosenPairs:
        """The references of a block's targets, and the refused copies and session shots."""
        score: Scores = pairs.landmark_distance
        if self.strategy == "component_affine":
            score = fit_distance(faces.features.landmarks, block)
        elif self.strategy == "random":
            score = chances(self.seed, numbers, block)
        if self.strategy == "diverse":
            picks = farthest(score, why, block.references(faces.features.vectors), self.references)
        else:
            picks = best(score, why, self.references)
        return chosen_pairs(block, pairs, why, picks, refused(score, why, self.references))


def _in_order(place: Int64s, faces: int) -> list[Int64s]:
    """The rows whose `place` is that of the first _TARGETS_AT_ONCE of all faces, of the next, and so on."""
    order = np.argsort(place, kind="stable")
    bounds = np.arange(_TARGETS_AT_ONCE, faces, _TARGETS_AT_ONCE)
    return np.split(order, np.searchsorted(place[order], bounds))


def _without_targets(without: Int64s, pairs: ChosenPairs, faces: int) -> ChosenPairs:
    """The pairs without the references of the targets in `without`; their refused shots stay, as evidence."""
    enough = np.ones(faces, bool)
    enough[without] = False
    return pairs.take((pairs.rank < 0) | enough[pairs.target])
