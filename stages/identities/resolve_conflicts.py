"""Remove contradictions: a person twice in one photo, or one shot under two identities."""

from dataclasses import replace

import numpy as np

from facerefs.schemas.reject import Reject
from facerefs.stages.identities.centroids import Centroids
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.overrides.lines import IdentityOverrides
from facerefs.stages.identities.people import UNASSIGNED, Faces, IdentityAssignment, not_best_in_photo
from facerefs.stages.identities.same_shot import second_names


def resolve_conflicts(
    assignment: IdentityAssignment,
    faces: Faces,
    centroids: Centroids,
    point: OperatingPoint,
    overrides: IdentityOverrides,
) -> IdentityAssignment:
    """The assignment with at most one face of a person per photo, and one identity per shot.

    The face that suits best stays. Faces that an override line decided come first, the later line before the
    earlier. Even then a shot has one identity.
    """
    suits = np.nan_to_num(centroids.similarity(assignment.person), nan=-1)
    forced_line = np.zeros(len(suits), np.int64)
    forced_line[overrides.rows] = assignment.override_line[overrides.rows]
    fitness = suits + 3.0 * forced_line
    person = assignment.person.copy()
    reject, why, certainty = assignment.reject.copy(), assignment.why.copy(), assignment.certainty.copy()
    second_face = not_best_in_photo(faces.image, person, fitness) & (forced_line == 0)
    person[second_face], certainty[second_face] = UNASSIGNED, 0
    reject[second_face] = np.where(faces.label == UNASSIGNED, Reject.NO_IDENTITY, Reject.WRONG_LABEL)[
        second_face
    ]
    why[second_face] = "another face of the same photo suits the person better"
    lose, win = second_names(faces.shot, person, fitness)
    better = np.clip((suits[win] - suits[lose]) / (2 * point.margin), 0, 1)
    certainty[lose] = better
    np.minimum.at(certainty, win, better)
    for one, other in zip(lose, win, strict=True):
        mine, its = assignment.names[person[one]], assignment.names[person[other]]
        figures = f"{_similarity_text(suits[other])} against {_similarity_text(suits[one])} to {mine!r}"
        why[one] = f"the same shot as {faces.id[other]}, which suits {its!r} better: {figures}"
    person[lose], reject[lose] = UNASSIGNED, Reject.SECOND_NAME
    gone = second_face.copy()
    gone[lose] = True
    decision, override_line = assignment.decision.copy(), assignment.override_line.copy()
    decision[gone], override_line[gone] = "dropped", 0
    return replace(
        assignment,
        person=person,
        decision=decision,
        reject=reject,
        why=why,
        certainty=certainty,
        override_line=override_line,
    )


def _similarity_text(similarity: float) -> str:
    return "nothing to compare" if similarity == -1 else f"{similarity:.2f}"
