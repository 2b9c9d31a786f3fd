"""The copy rule: whether two faces are copies of one shot, shots of one session, or neither."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from facerefs.schemas.arrays import Float32s, Int64s
from facerefs.stages.engines.calibration import calibration_of

Cosine = Annotated[float, Ge(-1), Le(1)]
Bits = Annotated[int, Ge(0), Le(64)]

NEITHER, SESSION, UNSURE, COPY = range(4)
"""Kinds of pairs of faces, in ascending order of similarity. UNSURE: one shot with edits, or two of a session."""

UNKNOWN_BITS = 65
"""The distance of two crop hashes if one is unknown: more than any other."""


@dataclass(frozen=True)
class CopyRule:
    """When two faces are copies or of one session. A cosine of null is taken from the embedder's calibration.

    Copies: a cosine of at least `copy_similarity` and crop hashes at most `hash_bits` bits apart, mirrored or not; or
    a cosine of at least `same_shot_similarity`, which two shots hardly reach, and either hashes at most
    `same_shot_hash_bits` bits apart (as after a crop) or landmarks at most `landmarks` of the crop's side apart (as
    with another background). Unsure: a cosine of at least `copy_similarity`, and landmarks at most `landmarks` apart or
    a crop hash that is unknown: what was not measured makes no pair a copy, and no reference. A session: a cosine of
    at least `session_similarity`.
    """

    hash_bits: Bits = 6
    """Most bits, of the 64 of the crop's hash, between two copies whose cosine is at least `copy_similarity`."""
    same_shot_hash_bits: Bits = 12
    """Most bits, of the 64 of the crop's hash, between two copies whose cosine is at least `same_shot_similarity`."""
    landmarks: Annotated[float, Ge(0)] = 0.008
    """Largest mean distance of the landmarks at which they count as the same, as a share of the crop's side."""
    copy_similarity: Cosine | None = None
    """Cosine of the embeddings from which two faces may be copies; null takes that of the embedder's calibration."""
    same_shot_similarity: Cosine | None = None
    """Cosine of the embeddings that two shots hardly reach; null takes that of the embedder's calibration."""
    session_similarity: Cosine | None = None
    """Cosine of the embeddings from which two faces are of one session; null takes that of the embedder's
    calibration."""

    def calibrated(self, embedder: str) -> "CopyRule":
        """The rule with every cosine filled in. Raises ValueError if one is unknown for this embedder."""
        if None not in (self.copy_similarity, self.same_shot_similarity, self.session_similarity):
            return self
        known = calibration_of(embedder)

        def filled(own: float | None, value: float) -> float:
            return value if own is None else own

        return replace(
            self,
            copy_similarity=filled(self.copy_similarity, known.copy),
            same_shot_similarity=filled(self.same_shot_similarity, known.same_shot),
            session_similarity=filled(self.session_similarity, known.session),
        )

    def kinds(self, similarity: Float32s, hash_distance: Int64s, landmark_distance: Float32s) -> Int64s:
        """NEITHER, SESSION, UNSURE or COPY for each pair; arrays of any one shape. The rule must be calibrated."""
        copy, same_shot, session = self._cosines
        agree = landmark_distance <= self.landmarks
        likely = (hash_distance <= self.hash_bits) & (similarity >= copy)
        certain = ((hash_distance <= self.same_shot_hash_bits) | agree) & (similarity >= same_shot)
        unsure = (agree | (hash_distance >= UNKNOWN_BITS)) & (similarity >= copy)
        return np.select([likely | certain, unsure, similarity >= session], [COPY, UNSURE, SESSION], NEITHER)

    @property
    def least_similarity(self) -> float:
        """The cosine below which no pair is a copy or unsure. The rule must be calibrated."""
        copy, same_shot, _ = self._cosines
        return min(copy, same_shot)

    def certainty(
        self, kinds: Int64s, similarity: Float32s, hash_distance: Int64s, landmark_distance: Float32s
    ) -> Float32s:
        """The certainty of each COPY or UNSURE pair of `kinds`: how far it is from being neither, float32 from 0 to 1.

        The smallest margin of the conditions that decided; of several sets of conditions that hold, the largest.
        The margin of a cosine is its distance from the threshold as a share of half the way to 1; that of a distance,
        its distance from the threshold as a share of half the way to 0. UNSURE halves it (choice), since a person
        must decide.
        """
        copy, same_shot, _ = self._cosines
        agree = _under(landmark_distance, self.landmarks)
        likely = np.minimum(_over(similarity, copy), _under(hash_distance, self.hash_bits + 1))
        crop = _under(hash_distance, self.same_shot_hash_bits + 1)
        certain = np.minimum(_over(similarity, same_shot), np.maximum(crop, agree))
        agree = np.where(hash_distance >= UNKNOWN_BITS, 1, agree)
        unsure = np.minimum(_over(similarity, copy), agree) / 2
        return np.where(kinds == COPY, np.maximum(likely, certain), unsure).astype(np.float32)

    def why(
        self, kinds: Int64s, similarity: Float32s, hash_distance: Int64s, landmark_distance: Float32s
    ) -> list[str]:
        """A sentence with the figures that decided, and their limits, for each COPY or UNSURE pair; arrays (N,)."""
        copy, same_shot, _ = self._cosines
        columns = (kinds, similarity, hash_distance, landmark_distance)
        sentences = []
        for kind, cosine, bits, points in zip(*(column.tolist() for column in columns), strict=True):
            sure = kind == COPY and not (bits <= self.hash_bits and cosine >= copy)
            least, near = (same_shot, self.same_shot_hash_bits) if sure else (copy, self.hash_bits)
            hashes = f"{bits} bits apart (up to {near} is near)" if bits < UNKNOWN_BITS else "unknown"
            sentences.append(
                f"crop hashes {hashes}, landmarks {points:.4f} (up to {self.landmarks:g} is near), "
                f"cosine {cosine:.3f} (from {least:.3f})"
            )
        return sentences

    @property
    def _cosines(self) -> tuple[float, float, float]:
        copy, same_shot, session = self.copy_similarity, self.same_shot_similarity, self.session_similarity
        if copy is None or same_shot is None or session is None:
            raise ValueError("the rule has no cosines yet: call calibrated() first")
        return copy, same_shot, session


def _over(values: Float32s, threshold: float) -> NDArray[np.float64]:
    margin: NDArray[np.float64] = np.clip(2 * (values - threshold) / max(1 - threshold, 1e-6), 0, 1)
    return margin


def _under(values: Float32s | Int64s, threshold: float) -> NDArray[np.float64]:
    margin: NDArray[np.float64] = np.clip(2 * (threshold - values) / max(threshold, 1e-6), 0, 1)
    return margin
