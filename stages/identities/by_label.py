"""Labels taken at their word: each is an identity."""

import numpy as np

from facerefs.schemas.reject import Reject
from facerefs.stages.identities.operating_point import OperatingPoint
from facerefs.stages.identities.overrides.lines import Words
from facerefs.stages.identities.people import NOBODY, Faces, Outcome, gather, likeness, one_per_photo


def by_label(faces: Faces, words: Words, point: OperatingPoint) -> Outcome:
    """The label is the identity. In a photo of several faces the one nearest to the label's centre carries it
    (the centre of the photos with one face), or the largest if the label has no such photo."""
    count = len(faces.id)
    alone = np.bincount(faces.image)[faces.image] == 1
    people = gather(faces.vectors, np.where(alone, faces.label, NOBODY), len(faces.names))
    fitness = likeness(faces.vectors, faces.label, people, unit=True)
    fitness = np.where(np.isnan(fitness), faces.size_px, fitness)
    again = one_per_photo(faces.image, faces.label, fitness)
    lead, line = words.said_of(faces.names).leads(len(faces.names))
    nobody = again | (faces.label == NOBODY)
    home = np.where(nobody, NOBODY, lead[faces.label])
    reject, why = np.full(count, None, object), np.full(count, None, object)
    reject[again], why[again] = Reject.WRONG_LABEL, "another face of the same photo suits the label better"
    unlabelled = faces.label == NOBODY
    reject[unlabelled], why[unlabelled] = Reject.UNLABELLED, Reject.UNLABELLED.sentence
    decision = np.where(nobody, "dropped", np.where(home == faces.label, "kept", "merged")).astype(object)
    return Outcome(
        names=faces.names,
        lead=lead,
        person=home,
        asked=lead[faces.label],
        decision=decision,
        reject=reject,
        why=why,
        certainty=np.ones(count, np.float32),
        line=np.where(nobody, 0, line[faces.label]),
        core=home,
    )
