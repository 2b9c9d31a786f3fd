"""Identities from labels that are trusted (`labels: trust`): each label is an identity."""

import numpy as np

from facerefs.schemas.reject import Reject
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.overrides.lines import IdentityOverrides
from facerefs.stages.identities.people import (
    UNASSIGNED,
    Faces,
    IdentityAssignment,
    not_best_in_photo,
    person_similarity,
    sum_by_person,
)


def by_label(faces: Faces, overrides: IdentityOverrides, point: OperatingPoint) -> IdentityAssignment:
    """Assign each face the identity of its label.

    In a photo with several faces only one gets the label: the face nearest to the centre of the label's photos
    with one face, or the largest face if the label has no such photo.
    """
    count = len(faces.id)
    alone = np.bincount(faces.image)[faces.image] == 1
    of_alone = np.where(alone, faces.label, UNASSIGNED)
    people = sum_by_person(faces.vectors, of_alone, len(faces.names), faces.room)
    fitness = person_similarity(faces.vectors, faces.label, people, unit=True)
    fitness = np.where(np.isnan(fitness), faces.size_px, fitness)
    second_face = not_best_in_photo(faces.image, faces.label, fitness)
    merged_into, override_line = overrides.name_overrides(faces.names).merged_into(len(faces.names))
    unassigned = second_face | (faces.label == UNASSIGNED)
    person = np.where(unassigned, UNASSIGNED, merged_into[faces.label])
    reject, why = np.full(count, None, object), np.full(count, None, object)
    reject[second_face], why[second_face] = (
        Reject.WRONG_LABEL,
        "another face of the same photo suits the label better",
    )
    unlabelled = faces.label == UNASSIGNED
    reject[unlabelled], why[unlabelled] = Reject.UNLABELLED, Reject.UNLABELLED.sentence
    decision = np.where(unassigned, "dropped", np.where(person == faces.label, "kept", "merged")).astype(
        object
    )
    return IdentityAssignment(
        names=faces.names,
        merged_into=merged_into,
        person=person,
        labelled_as=merged_into[faces.label],
        decision=decision,
        reject=reject,
        why=why,
        certainty=np.ones(count, np.float32),
        override_line=np.where(unassigned, 0, override_line[faces.label]),
        centroid_of=person,
    )
