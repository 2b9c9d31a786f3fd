"""Which faces of a person show the target's own shot or session, by the copy rule and by override lines."""

import numpy as np

from facerefs.schemas.arrays import Int64s
from facerefs.stages.copies.copy_rule import COPY, CopyRule
from facerefs.stages.references.comparison import Compared
from facerefs.stages.references.face_arrays import Block, FaceArrays
from facerefs.stages.references.pair_overrides import PairOverrideLookup


def pair_kinds(
    faces: FaceArrays, block: Block, pairs: Compared, rule: CopyRule, overrides: PairOverrideLookup
) -> Int64s:
    """The kinds of `facerefs.stages.copies.copy_rule` of all pairs of a block, (P, t, n). The rule must be calibrated.

    The landmarks are compared as they are and, where a nearer match could change the kind, mirrored.
    """
    landmarks = pairs.landmark_distance
    found = rule.kinds(pairs.similarity, pairs.hash_distance, landmarks)
    alike = (pairs.similarity >= rule.least_similarity) & ~pairs.same_photo & (found < COPY)
    if alike.any():
        person, target, reference = np.nonzero(alike)
        landmarks = landmarks.copy()
        landmarks[alike] = faces.features.landmark_distance(
            block.target(person, target), block.reference(person, reference)
        )
        found = rule.kinds(pairs.similarity, pairs.hash_distance, landmarks)
    return overrides.applied_to(block, found)
