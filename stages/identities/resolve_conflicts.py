"""Nobody is twice in a photo, and no shot has two names."""

from dataclasses import replace

import numpy as np

from facerefs.schemas.reject import Reject
from facerefs.stages.identities.centroids import Cores
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.overrides.lines import Words
from facerefs.stages.identities.people import NOBODY, Faces, Outcome, one_per_photo
from facerefs.stages.identities.same_shot import second_names


def one_name(outcome: Outcome, faces: Faces, cores: Cores, point: OperatingPoint, words: Words) -> Outcome:
    """The outcome without second faces of a person in a photo, and without second names of a shot.

    What a person decided of a face goes first, the later line before the earlier; but even then a shot has one name.
    """
    suits = np.nan_to_num(cores.likeness(outcome.person), nan=-1)
    insisted = np.zeros(len(suits), np.int64)
    insisted[words.rows] = outcome.line[words.rows]
    fitness = suits + 3.0 * insisted
    person = outcome.person.copy()
    reject, why, certainty = outcome.reject.copy(), outcome.why.copy(), outcome.certainty.copy()
    again = one_per_photo(faces.image, person, fitness) & (insisted == 0)
    person[again], certainty[again] = NOBODY, 0
    reject[again] = np.where(faces.label == NOBODY, Reject.NO_IDENTITY, Reject.WRONG_LABEL)[again]
    why[again] = "another face of the same photo suits the person better"
    lose, win = second_names(faces.shot, person, fitness)
    better = np.clip((suits[win] - suits[lose]) / (2 * point.margin), 0, 1)
    certainty[lose] = better
    np.minimum.at(certainty, win, better)
    for one, other in zip(lose, win, strict=True):
        mine, its = outcome.names[person[one]], outcome.names[person[other]]
        figures = f"{_of(suits[other])} against {_of(suits[one])} to {mine!r}"
        why[one] = f"the same shot as {faces.id[other]}, which suits {its!r} better: {figures}"
    person[lose], reject[lose] = NOBODY, Reject.SECOND_NAME
    gone = again.copy()
    gone[lose] = True
    decision, line = outcome.decision.copy(), outcome.line.copy()
    decision[gone], line[gone] = "dropped", 0
    return replace(
        outcome, person=person, decision=decision, reject=reject, why=why, certainty=certainty, line=line
    )


def _of(likeness: float) -> str:
    return "nothing to compare" if likeness == -1 else f"{likeness:.2f}"
