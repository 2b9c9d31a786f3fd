"""The figures behind the check of labels, and its result."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.identities.centroids import Centroids
from facerefs.stages.identities.groups import Groups
from facerefs.stages.identities.merging import MergedNames
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.people import People


@dataclass(frozen=True)
class Evidence:
    """For each face the mean cosines to its own person and the nearest other one, and the margins that follow."""

    own_similarity: Float32s
    other: Int64s  # the nearest other person
    other_similarity: Float32s
    stay_margin: (
        Float32s  # how far the face is from having to leave its labelled person; negative: it must leave
    )
    move_margin: Float32s  # how far the face is beyond the threshold for a move to `other`; negative: no move
    stay_threshold: float  # lowest mean cosine to its person's centroid at which a face may stay


@dataclass(frozen=True)
class LabelCheck:
    """The result of the label check and its evidence. People are numbers of names, or UNASSIGNED."""

    point: OperatingPoint
    people: People  # by name, before names were merged
    centroids: Centroids  # by person, after names were merged
    merged: MergedNames
    groups: Groups
    labelled_as: Int64s  # the person whom the label names, after names were merged
    person: Int64s  # after wrong labels were dropped or corrected
    second_face: NDArray[np.bool_]  # unassigned, because another face of the photo suits the person better
    centroid_of: Int64s  # the person whose centroid the face is part of
    evidence: Evidence
