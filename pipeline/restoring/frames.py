"""Follow faces through the frames of a video, so that a face stays the same person's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facerefs.pipeline.restoring.whole import KnownFace, RestoredFace

_OVERLAP = 0.3  # of a face's boxes in two frames, as a share of their union
_FORGOTTEN = 10  # frames after which a face that was not seen is forgotten

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Track:
    box: Box
    known: KnownFace
    unseen: int = 0


class Tracks:
    """Where known faces were in the last frames; frames must come in their order."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []

    def known(self, boxes: Sequence[Box]) -> dict[int, KnownFace]:
        """Whose some of these faces are, by their numbers: those where a known face was; the nearest overlap wins."""
        overlaps = [
            (_overlap(track.box, box), number, track)
            for track in self._tracks
            for number, box in enumerate(boxes)
        ]
        found: dict[int, KnownFace] = {}
        for share, number, track in sorted(overlaps, key=lambda one: -one[0]):
            people = {known.person for known in found.values()}
            if share >= _OVERLAP and number not in found and track.known.person not in people:
                found[number] = track.known
        return found

    def add(self, faces: Sequence[RestoredFace]) -> None:
        """The faces of the next frame."""
        seen = {
            face.person: _Track(face.box, KnownFace(face.person, face.reference))
            for face in faces
            if face.person is not None and face.box is not None and not face.left
        }
        older = [
            _Track(track.box, track.known, track.unseen + 1)
            for track in self._tracks
            if track.known.person not in seen and track.unseen < _FORGOTTEN
        ]
        self._tracks = [*seen.values(), *older]


def _overlap(one: Box, other: Box) -> float:
    from facerefs.stages.faces.boxes import overlaps

    return float(overlaps(np.array(one, np.float32), np.array(other, np.float32)))
