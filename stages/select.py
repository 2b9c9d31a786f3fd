"""Select: who helps whom. For every face the photos of the same person that are its best references."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from annotated_types import Ge, Le
from numpy.typing import NDArray

from facerefs.schemas.arrays import Int64s, UInt64s
from facerefs.schemas.tables import PAIRS
from facerefs.stages.copies.copy_rule import CopyRule, Cosine
from facerefs.stages.references import rows
from facerefs.stages.references.chance import chances, hashed
from facerefs.stages.references.choice import Chosen, Scores, best, chosen, farthest, refused
from facerefs.stages.references.comparison import Compared, compared
from facerefs.stages.references.component_fit import fit_distance
from facerefs.stages.references.face_arrays import Block, Portraits, blocks, portraits
from facerefs.stages.references.pair_overrides import verdicts
from facerefs.stages.references.reasons import (
    ALIKE,
    BRISQUE,
    FREE,
    NIQE,
    SAME_PHOTO,
    SMALL,
    SOFT,
    TURNED,
    UNLIKE,
    Reasons,
    counted,
    of_kinds,
    sentences,
)
from facerefs.stages.references.same_shot import kinds

PAIRS_PER_BLOCK = 4096
Strategy = Literal["landmark_nearest", "component_affine", "diverse", "random"]


@dataclass(frozen=True)
class Select:
    """Pair every face that has an identity with its references. A whole stage.

    strategy: which faces of the person, best first, of equally good ones the smaller id:
      `landmark_nearest`, as RPF: the smallest mean L1 distance of the 68 landmarks in the aligned crop;
      `component_affine`, as ASFFNet: where eyes, brows and mouth fit best after an affine map each;
      `diverse`, as FFHQ-Ref: farthest-point sampling by cosine, from the landmark-nearest on (choice);
      `random`: by chance, from `seed` and the ids of the two faces alone.
    references: how many per face; a face with fewer than `min_references` has none. synthesise: how many
    references are made of the face itself where it has none else, as ENTED needs; drawn from `seed`.

    Never a reference is a face of the same photo; one whose `face_px` is less than `min_size_ratio` times the
    side of the target's crop (1: the reference is not enlarged more than the crop); one beyond
    `min_reference_sharpness`, `max_reference_niqe`, `max_reference_brisque`; a head turned more than
    `max_pose_gap_deg` away; a cosine outside `min_similarity` to `max_similarity` (a cosine distance is 1 less the
    cosine: FFHQ-Ref's "one person below 0.4, no copy from 0.1 on" is 0.6 to 0.9 for ArcFace); and what by `rule`
    is or may be the same shot, or, unless `same_session`, one of the same session. An unknown figure fails its
    limit. `overrides.csv` stands over `rule`, not over the limits.

    Raises ValueError if the faces come from several embedders, or if one lacks landmarks or embedding.
    """

    strategy: Strategy = "landmark_nearest"
    references: Annotated[int, Ge(1), Le(64)] = 1
    min_references: Annotated[int, Ge(1)] = 1
    synthesise: Annotated[int, Ge(0), Le(64)] = 0
    seed: Annotated[int, Ge(0), Le(2**63 - 1)] = 0
    rule: CopyRule = field(default_factory=CopyRule)
    same_session: bool = False
    min_similarity: Cosine | None = None
    max_similarity: Cosine | None = None
    max_pose_gap_deg: Annotated[float, Ge(0)] | None = None
    min_size_ratio: Annotated[float, Ge(0)] | None = None
    min_reference_sharpness: float | None = None
    max_reference_niqe: float | None = None
    max_reference_brisque: float | None = None

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "faces": (
            *("id", "part", "image", "landmarks", "crop_size", "embedding", "yaw", "pitch", "face_px"),
            *("sharpness", "niqe", "brisque", "crop_phash", "crop_phash_mirror", "embedder", "reject"),
        ),
        "identities": ("face", "identity", "reject"),
        "overrides": ("line", "decision", "what", "other"),
    }
    writes: ClassVar[str] = "pairs"
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.min_references > self.references:
            raise ValueError("min_references is more than references")
        least, most = self.min_similarity, self.max_similarity
        if least is not None and most is not None and least > most:
            raise ValueError("min_similarity is more than max_similarity")

    def process(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """PAIRS in the order of the targets' ids: references by rank, then refused shots that would have been one.

        Refused (COPY, SESSION) is what `rule` or a person refuses and what would otherwise be among the first
        `references` (with `diverse`: among the landmark-nearest). A face without any reference has one row,
        rejected as NO_REFERENCE, or its synthesised ones.
        """
        faces = portraits(tables["faces"], tables["identities"])
        if not len(faces):
            return PAIRS.empty_table()
        rule = self.rule.calibrated(faces.embedder)
        said = verdicts(tables["overrides"], faces.id)
        unfit, numbers = self._unfit(faces), hashed(faces.id)
        found, poor, counts = [], [], []
        for block in blocks(faces.size, PAIRS_PER_BLOCK):
            pairs = compared(faces, block)
            shots = of_kinds(kinds(faces, block, pairs, rule, said), self.same_session)
            why = self._why_not(faces, block, pairs, unfit, shots)
            found.append(self._chosen(faces, block, pairs, why, numbers))
            person, target = np.nonzero((why == FREE).sum(axis=2) < self.min_references)
            poor.append(block.target(person, target))
            counts.append(counted(why[person, target]))
        without = np.concatenate(poor)
        pairs_found = _but_for(without, Chosen.joined(found), len(faces))
        why_refused = rows.evidence(faces, pairs_found.take(pairs_found.rank < 0), rule, said)
        of_photos = rows.of_photos(faces, pairs_found, why_refused, self.strategy)
        if self.synthesise:
            others = rows.synthesised(faces, without, self.synthesise, self.seed)
        else:
            why_none = sentences(np.concatenate(counts), self.min_references)
            others = rows.without(without, why_none, self.strategy)
        return rows.joined(faces, [of_photos, others])

    def _unfit(self, faces: Portraits) -> Reasons:
        """For each face why it is nobody's reference, or FREE."""
        limits = (
            (SOFT, faces.sharpness, self.min_reference_sharpness, np.greater_equal),
            (NIQE, faces.niqe, self.max_reference_niqe, np.less_equal),
            (BRISQUE, faces.brisque, self.max_reference_brisque, np.less_equal),
        )
        unfit = np.full(len(faces), FREE, np.uint8)
        for reason, values, limit, within in limits:
            if limit is not None:
                unfit[(unfit == FREE) & ~within(values, limit)] = reason
        return unfit

    def _why_not(
        self, faces: Portraits, block: Block, pairs: Compared, unfit: Reasons, shots: Reasons
    ) -> Reasons:
        """For every pair of a block the first reason against it, or FREE. A face itself is of the same photo."""
        why = np.where(pairs.same_photo, np.uint8(SAME_PHOTO), np.uint8(FREE))

        def refuse(reason: int, pairs: NDArray[np.bool_]) -> None:
            why[(why == FREE) & pairs] = reason

        if self.min_size_ratio is not None:
            least = self.min_size_ratio * block.targets(faces.crop_size)
            refuse(SMALL, ~(block.references(faces.face_px)[:, None] >= least[:, :, None]))
        if unfit.any():
            np.copyto(why, block.references(unfit)[:, None], where=why == FREE)
        if self.max_pose_gap_deg is not None:
            refuse(TURNED, ~(pairs.pose_gap <= self.max_pose_gap_deg))
        if self.min_similarity is not None:
            refuse(UNLIKE, pairs.similarity < self.min_similarity)
        if self.max_similarity is not None:
            refuse(ALIKE, pairs.similarity > self.max_similarity)
        np.copyto(why, shots, where=why == FREE)
        return why

    def _chosen(
        self, faces: Portraits, block: Block, pairs: Compared, why: Reasons, numbers: UInt64s
    ) -> Chosen:
        """The references of a block's targets, and their refused shots."""
        score: Scores = pairs.landmark_distance
        if self.strategy == "component_affine":
            score = fit_distance(faces.landmarks, block)
        elif self.strategy == "random":
            score = chances(self.seed, numbers, block)
        if self.strategy == "diverse":
            picks = farthest(score, why, block.references(faces.vectors), self.references)
        else:
            picks = best(score, why, self.references)
        return chosen(block, pairs, why, picks, refused(score, why, self.references))


def _but_for(without: Int64s, pairs: Chosen, faces: int) -> Chosen:
    """The pairs without the references of faces that have too few of them; refused shots stay, as evidence."""
    enough = np.ones(faces, bool)
    enough[without] = False
    return pairs.take((pairs.rank < 0) | enough[pairs.target])
