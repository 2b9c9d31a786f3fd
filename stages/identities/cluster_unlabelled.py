"""People found by their looks alone."""

import numpy as np

from facerefs.schemas.reject import Reject
from facerefs.stages.identities.centroids import cores_of
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.overrides.lines import Words
from facerefs.stages.identities.people import NOBODY, Faces, Outcome, discover, second_faces


def by_looks(faces: Faces, words: Words, point: OperatingPoint, neighbours: int, min_faces: int) -> Outcome:
    """Every face that resembles enough others is a person's; nobody is twice in a photo."""
    count = len(faces.id)
    person, names = discover(faces, np.arange(count), point.same, neighbours, min_faces)
    again = second_faces(faces.vectors, faces.image, person, len(names))
    lead, line = words.said_of(names).leads(len(names))
    found = person >= 0
    asked = lead[person]
    nobody = ~found | again
    home = np.where(nobody, NOBODY, asked)
    reject, why = np.full(count, None, object), np.full(count, None, object)
    reject[nobody] = Reject.NO_IDENTITY
    why[nobody] = f"fewer than {min_faces} faces of different photos are {point.same:.2f} alike on average"
    why[again] = "another face of the same photo suits the person better"
    cores = cores_of(faces.vectors, faces.shot, np.where(again, NOBODY, person), len(names))
    own = np.nan_to_num(cores.likeness(person), nan=point.same)
    near = np.nan_to_num(cores.nearest_others(person, 1).likeness, nan=-1)
    margin = np.where(found, np.minimum(own - point.different, own - near), point.strong - near)
    margin[again] = 0
    return Outcome(
        names=names,
        lead=lead,
        person=home,
        asked=asked,
        decision=np.where(nobody, "dropped", "discovered").astype(object),
        reject=reject,
        why=why,
        certainty=np.clip(margin / (2 * point.margin), 0, 1).astype(np.float32),
        line=np.where(nobody, 0, line[person]),
        core=home,
    )
