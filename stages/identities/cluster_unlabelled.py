"""Identities from embeddings alone (`labels: ignore`)."""

import numpy as np

from facerefs.schemas.reject import Reject
from facerefs.stages.identities.centroids import centroids_of
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.overrides.lines import IdentityOverrides
from facerefs.stages.identities.people import UNASSIGNED, Faces, IdentityAssignment, discover, second_faces


def cluster_unlabelled(
    faces: Faces, overrides: IdentityOverrides, point: OperatingPoint, neighbours: int, min_faces: int
) -> IdentityAssignment:
    """Assign identities by clustering the embeddings, at most one face per person and photo.

    A group of faces from fewer than `min_faces` photos is no person; its faces are rejected.
    """
    count = len(faces.id)
    person, names = discover(faces, np.arange(count), point.same, neighbours, min_faces)
    second_face = second_faces(faces.vectors, faces.image, person, len(names), faces.room)
    merged_into, override_line = overrides.name_overrides(names).merged_into(len(names))
    found = person >= 0
    labelled_as = merged_into[person]
    unassigned = ~found | second_face
    assigned = np.where(unassigned, UNASSIGNED, labelled_as)
    reject, why = np.full(count, None, object), np.full(count, None, object)
    reject[unassigned] = Reject.NO_IDENTITY
    why[unassigned] = (
        f"fewer than {min_faces} faces of different photos are {point.same:.2f} alike on average"
    )
    why[second_face] = "another face of the same photo suits the person better"
    of_first = np.where(second_face, UNASSIGNED, person)
    centroids = centroids_of(faces.vectors, faces.shot, of_first, len(names), faces.room)
    own = np.nan_to_num(centroids.similarity(person), nan=point.same)
    near = np.nan_to_num(centroids.nearest_others(person, 1).similarity, nan=-1)
    margin = np.where(found, np.minimum(own - point.median_different, own - near), point.strong - near)
    margin[second_face] = 0
    return IdentityAssignment(
        names=names,
        merged_into=merged_into,
        person=assigned,
        labelled_as=labelled_as,
        decision=np.where(unassigned, "dropped", "discovered").astype(object),
        reject=reject,
        why=why,
        certainty=np.clip(margin / (2 * point.margin), 0, 1).astype(np.float32),
        override_line=np.where(unassigned, 0, override_line[person]),
        centroid_of=assigned,
    )
