"""The reasons why a face is not the reference of another one."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facerefs.stages.copies.copy_rule import COPY as COPY_KIND
from facerefs.stages.copies.copy_rule import NEITHER as NEITHER_KIND
from facerefs.stages.copies.copy_rule import SESSION as SESSION_KIND
from facerefs.stages.copies.copy_rule import UNSURE as UNSURE_KIND

Reasons = NDArray[np.uint8]

(
    ALLOWED,
    SAME_PHOTO,
    SMALL,
    NOT_SHARP,
    NIQE,
    BRISQUE,
    POSE_TOO_FAR,
    TOO_DIFFERENT,
    TOO_SIMILAR,
    SESSION,
    UNSURE,
    COPY,
) = range(12)
"""In the order in which they are checked. From SESSION on, only the copy rule stands against the reference."""

_PHRASES = {
    SAME_PHOTO: "in the same photo",
    SMALL: "too small for its crop",
    NOT_SHARP: "not sharp enough",
    NIQE: "of too high a NIQE",
    BRISQUE: "of too high a BRISQUE",
    POSE_TOO_FAR: "turned too far from it",
    TOO_DIFFERENT: "not alike enough",
    TOO_SIMILAR: "too much alike",
    SESSION: "of its session",
    UNSURE: "perhaps copies of it",
    COPY: "copies of it",
}


def reasons_of_kinds(kinds: NDArray[np.integer], same_session: bool) -> Reasons:
    """The reason for each kind of `facerefs.stages.copies.copy_rule`; `same_session` allows shots of one session."""
    reasons = np.zeros(4, np.uint8)
    reasons[[NEITHER_KIND, SESSION_KIND, UNSURE_KIND, COPY_KIND]] = ALLOWED, SESSION, UNSURE, COPY
    if same_session:
        reasons[SESSION_KIND] = ALLOWED
    return np.asarray(reasons[kinds])


def count_reasons(why: Reasons) -> NDArray[np.int32]:
    """The number of times each reason occurs in each row, (M, reasons). why: (M, n)."""
    return np.stack([(why == reason).sum(axis=1, dtype=np.int32) for reason in range(COPY + 1)], axis=1)


def reason_sentences(counts: NDArray[np.int32], least: int) -> pa.Array:
    """Sentences that say why faces have fewer than `least` references. counts: candidates refused for each reason."""
    if not len(counts):
        return pa.array([], pa.string())
    different, which = np.unique(counts, axis=0, return_inverse=True)
    texts = pa.array([_sentence(row, least) for row in different], pa.string())
    return texts.take(pa.array(which.ravel()))


def _sentence(counts: NDArray[np.int32], least: int) -> str:
    others = int(counts.sum()) - 1  # the face itself is counted as one of the same photo
    if others == 0:
        return "the only photo of the person"
    numbers = dict(enumerate(counts.tolist()))
    numbers[SAME_PHOTO] -= 1
    allowed = numbers.pop(ALLOWED)
    parts = [f"{allowed} could be its reference, but at least {least} are asked for"] if allowed else []
    parts += [f"{number} {_PHRASES[reason]}" for reason, number in numbers.items() if number]
    return f"of {others} other faces of the person: {', '.join(parts)}"
