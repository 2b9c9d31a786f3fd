"""What two faces are to each other: copies of one shot, shots of one session, or neither."""

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
"""Of a pair of faces, in ascending order of resemblance. UNSURE: one shot in another guise, or two of one session."""

UNKNOWN_BITS = 65
"""How far apart crop hashes are of which one is unknown: more than any."""


@dataclass(frozen=True)
class CopyRule:
    """When two faces are copies or of one session. A cosine of None is that of the embedder's calibration.

    Copies: a cosine of at least `copy_similarity` and crop hashes at most `hash_bits` bits apart, the nearer way
    round; or a cosine of at least `twin_similarity`, which two shots hardly reach, and hashes at most
    `twin_hash_bits` bits apart, as after a crop, or landmarks at most `landmarks` of the crop's side apart, as with
    another background. Unsure: `copy_similarity` and `landmarks`, or a crop hash that is unknown (nobody is called
    a copy by what was not seen, and nobody is a reference by it). A session: `session_similarity`.
    """

    hash_bits: Bits = 6
    twin_hash_bits: Bits = 12
    landmarks: Annotated[float, Ge(0)] = 0.008
    copy_similarity: Cosine | None = None
    twin_similarity: Cosine | None = None
    session_similarity: Cosine | None = None

    def calibrated(self, embedder: str) -> "CopyRule":
        """The rule with every cosine filled in. Raises ValueError if one is unknown for this embedder."""
        if None not in (self.copy_similarity, self.twin_similarity, self.session_similarity):
            return self
        known = calibration_of(embedder)

        def filled(own: float | None, value: float) -> float:
            return value if own is None else own

        return replace(
            self,
            copy_similarity=filled(self.copy_similarity, known.copy),
            twin_similarity=filled(self.twin_similarity, known.twin),
            session_similarity=filled(self.session_similarity, known.session),
        )

    def kinds(self, similarity: Float32s, hash_distance: Int64s, landmark_distance: Float32s) -> Int64s:
        """NEITHER, SESSION, UNSURE or COPY for each pair; arrays of any one shape. The rule must be calibrated."""
        copy, twin, session = self._cosines
        agree = landmark_distance <= self.landmarks
        likely = (hash_distance <= self.hash_bits) & (similarity >= copy)
        certain = ((hash_distance <= self.twin_hash_bits) | agree) & (similarity >= twin)
        unsure = (agree | (hash_distance >= UNKNOWN_BITS)) & (similarity >= copy)
        return np.select([likely | certain, unsure, similarity >= session], [COPY, UNSURE, SESSION], NEITHER)

    @property
    def least_similarity(self) -> float:
        """The cosine below which no pair is a copy or unsure. The rule must be calibrated."""
        copy, twin, _ = self._cosines
        return min(copy, twin)

    def certainty(
        self, kinds: Int64s, similarity: Float32s, hash_distance: Int64s, landmark_distance: Float32s
    ) -> Float32s:
        """How far each COPY or UNSURE pair of `kinds` is from being none, float32 from 0 to 1.

        The smallest margin of the conditions that decided; where several ways lead to it, of the surest. The margin
        of a cosine is its way from the threshold as a share of half the way to 1; that of a distance, its way from
        the threshold as a share of half the way to 0. UNSURE halves it (choice): it is a question to a person.
        """
        copy, twin, _ = self._cosines
        agree = _under(landmark_distance, self.landmarks)
        likely = np.minimum(_over(similarity, copy), _under(hash_distance, self.hash_bits + 1))
        crop = _under(hash_distance, self.twin_hash_bits + 1)
        certain = np.minimum(_over(similarity, twin), np.maximum(crop, agree))
        agree = np.where(hash_distance >= UNKNOWN_BITS, 1, agree)
        unsure = np.minimum(_over(similarity, copy), agree) / 2
        return np.where(kinds == COPY, np.maximum(likely, certain), unsure).astype(np.float32)

    def why(
        self, kinds: Int64s, similarity: Float32s, hash_distance: Int64s, landmark_distance: Float32s
    ) -> list[str]:
        """The figures that decided, and their limits, for each COPY or UNSURE pair; arrays (N,)."""
        copy, twin, _ = self._cosines
        columns = (kinds, similarity, hash_distance, landmark_distance)
        sentences = []
        for kind, cosine, bits, points in zip(*(column.tolist() for column in columns), strict=True):
            sure = kind == COPY and not (bits <= self.hash_bits and cosine >= copy)
            least, near = (twin, self.twin_hash_bits) if sure else (copy, self.hash_bits)
            hashes = f"{bits} bits apart (up to {near} is near)" if bits < UNKNOWN_BITS else "unknown"
            sentences.append(
                f"crop hashes {hashes}, landmarks {points:.4f} (up to {self.landmarks:g} is near), "
                f"cosine {cosine:.3f} (from {least:.3f})"
            )
        return sentences

    @property
    def _cosines(self) -> tuple[float, float, float]:
        copy, twin, session = self.copy_similarity, self.twin_similarity, self.session_similarity
        if copy is None or twin is None or session is None:
            raise ValueError("the rule has no cosines yet: call calibrated() first")
        return copy, twin, session


def _over(values: Float32s, threshold: float) -> NDArray[np.float64]:
    margin: NDArray[np.float64] = np.clip(2 * (values - threshold) / max(1 - threshold, 1e-6), 0, 1)
    return margin


def _under(values: Float32s | Int64s, threshold: float) -> NDArray[np.float64]:
    margin: NDArray[np.float64] = np.clip(2 * (threshold - values) / max(threshold, 1e-6), 0, 1)
    return margin
