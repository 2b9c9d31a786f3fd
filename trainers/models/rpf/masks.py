"""Masks of the facial regions of a batch: from the samples if they have them, else computed once per batch."""

from collections.abc import Callable

from torch import Tensor

from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.masks.mask import FaceMask
from facerefs.trainers.models.common.per_batch import PerBatch
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.model import RestorerInput
from facerefs.trainers.stream.batches.device_batch import DeviceBatch


def reference_mask(seen: RestorerInput, mask: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The masks of the first references: (B, 1, H, W) in [0, 1]. mask: called like a `FaceMask`."""
    if seen.reference_masks is not None:
        return seen.reference_masks[:, 0]
    return mask(seen.references[:, 0], seen.reference_landmarks[:, 0])


class BatchMasks:
    """Masks (B, 1, H, W) in [0, 1]; each is computed at its first use, and cached as long as its batch exists.

    A step uses them in several phases, and a face parser is slow. mask: called like a `FaceMask`, for samples that have
    no masks.
    """

    def __init__(self, mask: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._mask = mask
        self._made: PerBatch[Tensor] = PerBatch()

    def truth(self, batch: DeviceBatch) -> Tensor:
        """The masks of the ground truths."""
        if batch.target_mask is not None:
            return batch.target_mask
        return self._made.once(batch, "truth", lambda: self._mask(batch.target, batch.landmarks))

    def reference(self, batch: DeviceBatch) -> Tensor:
        """The masks of the first references."""
        return self._made.once(batch, "reference", lambda: reference_mask(restorer_input(batch), self._mask))

    def warped(self, batch: DeviceBatch) -> Tensor:
        """The masks of the first references, warped onto the landmarks of the truths."""
        if batch.warped_masks is not None:
            return batch.warped_masks[:, 0]
        return self._made.once(batch, "warped", lambda: self._warp(batch))

    def _warp(self, batch: DeviceBatch) -> Tensor:
        mask = self.reference(batch)
        warped, _ = warp_for(mask.shape[-1])(mask, batch.reference_landmarks[:, 0], batch.landmarks)
        return warped


def masks_note(batch: DeviceBatch, load: Callable[[], FaceMask]) -> str:
    """Where the masks of these samples come from, for log and checkpoint; `load` is called if they have none.

    Raises MissingWeights, as `load` does.
    """
    if batch.target_mask is None or (batch.references.shape[1] and batch.reference_masks is None):
        try:
            return load().note
        except MissingWeights as error:
            raise MissingWeights(
                f"{error}; or set weights.parsing= for the hull of the landmarks, or build the set with analyse.parser"
            ) from None
    makers = " and ".join(batch.parsers) or "an engine that they do not name"
    return f"face masks: those of the samples, the first ones made by {makers}"
