"""Why a face is not another one's reference."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from facerefs.stages.copies.copy_rule import COPY as COPY_KIND
from facerefs.stages.copies.copy_rule import NEITHER as NEITHER_KIND
from facerefs.stages.copies.copy_rule import SESSION as SESSION_KIND
from facerefs.stages.copies.copy_rule import UNSURE as UNSURE_KIND

Reasons = NDArray[np.uint8]

FREE, SAME_PHOTO, SMALL, SOFT, NIQE, BRISQUE, TURNED, UNLIKE, ALIKE, SESSION, UNSURE, COPY = range(12)
"""In the order in which they are looked at. From SESSION on: a reference, were it not the target's own shot."""

_WORDS = {
    SAME_PHOTO: "in the same photo",
    SMALL: "too small for its crop",
    SOFT: "not sharp enough",
    NIQE: "of too high a NIQE",
    BRISQUE: "of too high a BRISQUE",
    TURNED: "turned too far from it",
    UNLIKE: "not alike enough",
    ALIKE: "too much alike",
    SESSION: "of its session",
    UNSURE: "perhaps copies of it",
    COPY: "copies of it",
}


def of_kinds(kinds: NDArray[np.integer], same_session: bool) -> Reasons:
    """The reasons that the kinds of `facerefs.stages.copies.copy_rule` are; a session is none if it may be."""
    reasons = np.zeros(4, np.uint8)
    reasons[[NEITHER_KIND, SESSION_KIND, UNSURE_KIND, COPY_KIND]] = FREE, SESSION, UNSURE, COPY
    if same_session:
        reasons[SESSION_KIND] = FREE
    return np.asarray(reasons[kinds])


def counted(why: Reasons) -> NDArray[np.int32]:
    """How often each reason occurs in each row: (M, n) to (M, reasons)."""
    return np.stack([(why == reason).sum(axis=1, dtype=np.int32) for reason in range(COPY + 1)], axis=1)


def sentences(counts: NDArray[np.int32], least: int) -> pa.Array:
    """Why faces have fewer than `least` references, from the number of candidates that each reason refused."""
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
    free = numbers.pop(FREE)
    parts = [f"{free} could be its reference, but at least {least} are asked for"] if free else []
    parts += [f"{number} {_WORDS[reason]}" for reason, number in numbers.items() if number]
    return f"of {others} other faces of the person: {', '.join(parts)}"
