"""The restorer's input from a batch, and with other landmarks."""

from dataclasses import replace

from torch import Tensor

from facerefs.trainers.geometry.tps import warp_for
from facerefs.trainers.models.model import RestorerInput
from facerefs.trainers.stream.batches.device_batch import DeviceBatch


def restorer_input(batch: DeviceBatch) -> RestorerInput:
    """The restorer's input: all of a batch except its truth; the landmarks are the batch's `seen_landmarks`.

    Raises ValueError without degraded faces, or with references that were not warped.
    """
    if batch.degraded is None:
        raise ValueError("a restorer wants degraded faces: give on_device a degradation")
    warped, valid = batch.warped, batch.valid
    if warped is None or valid is None:
        if batch.references.shape[1]:
            raise ValueError("a restorer wants its references warped: give on_device a warp")
        warped, valid = batch.references, batch.references[:, :, :1]
    return RestorerInput(
        degraded=batch.degraded,
        references=batch.references,
        reference_embeddings=batch.reference_embeddings,
        reference_landmarks=batch.reference_landmarks,
        reference_masks=batch.reference_masks,
        warped=warped,
        valid=valid,
        landmarks=batch.seen_landmarks,
    )


def with_landmarks(seen: RestorerInput, landmarks: Tensor) -> RestorerInput:
    """The same input with the references warped onto other landmarks (B, 68, 2) of the degraded faces."""
    count, side = seen.references.shape[1], seen.references.shape[-1]
    if not count:
        return replace(seen, landmarks=landmarks)
    places = landmarks[:, None].expand(-1, count, -1, -1).flatten(0, 1)
    images, points = seen.references.flatten(0, 1), seen.reference_landmarks.flatten(0, 1)
    warped, valid = warp_for(side)(images.float(), points, places)
    there = seen.valid.flatten(2).any(2)[
        :, :, None, None, None
    ]  # a missing reference has no valid pixels anywhere
    return replace(
        seen,
        landmarks=landmarks,
        warped=warped.view_as(seen.references).to(seen.references.dtype),
        valid=valid.view(*seen.references.shape[:2], 1, side, side).to(seen.valid.dtype) * there,
    )
