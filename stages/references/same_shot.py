"""Which faces of a person show the target's own shot or session, by the rule and by what a person said."""

import numpy as np

from facerefs.schemas.arrays import Int64s
from facerefs.stages.copies.copy_rule import COPY, CopyRule
from facerefs.stages.references.comparison import Compared, nearer_way
from facerefs.stages.references.face_arrays import Block, Portraits
from facerefs.stages.references.pair_overrides import Verdicts


def kinds(faces: Portraits, block: Block, pairs: Compared, rule: CopyRule, said: Verdicts) -> Int64s:
    """The kinds of `facerefs.stages.copies.copy_rule` of all pairs of a block, (P, t, n). The rule must be calibrated.

    The landmarks are compared as they are and, where more resemblance would say more, mirrored.
    """
    landmarks = pairs.landmark_distance
    found = rule.kinds(pairs.similarity, pairs.hash_distance, landmarks)
    alike = (pairs.similarity >= rule.least_similarity) & ~pairs.same_photo & (found < COPY)
    if alike.any():
        person, target, reference = np.nonzero(alike)
        pair = block.target(person, target), block.reference(person, reference)
        landmarks = landmarks.copy()
        landmarks[alike] = nearer_way(faces, *pair, landmarks[alike])
        found = rule.kinds(pairs.similarity, pairs.hash_distance, landmarks)
    return said.over(block, found)
