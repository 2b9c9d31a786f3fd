"""What the check of labels weighed for each face, and what came of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.identities.centroids import Cores
from facerefs.stages.identities.groups import Groups
from facerefs.stages.identities.merging import Merged
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.people import People


@dataclass(frozen=True)
class Evidence:
    """Mean cosines of each face to the core of its own person and of the nearest other one, and what they say."""

    own: Float32s
    other: Int64s
    other_likeness: Float32s
    to_stay: Float32s  # by how much it may stay where its label puts it; negative: it may not
    to_move: Float32s  # by how much it may move to the other
    enough: float  # mean cosine to its person's core from which on a face may stay


@dataclass(frozen=True)
class Checked:
    """The result as numbers of names, NOBODY for nobody, and what it rests on."""

    point: OperatingPoint
    people: People  # by name, before names that are one person were joined
    cores: Cores  # by person, after that
    merged: Merged
    groups: Groups
    asked: Int64s  # after names were joined
    person: Int64s  # after wrong labels were dropped or corrected
    again: NDArray[np.bool_]  # nobody, because another face of the photo suits the person better
    core_of: Int64s
    evidence: Evidence
