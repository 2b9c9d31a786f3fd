"""Masks of the facial region of a photo (RPF, section III.A), by a face parser or by the hull of the landmarks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facerefs.stages.engines.parsing.hull import face_hull
from facerefs.stages.engines.parsing.parser import FILE, NON_FACIAL, URL, check_labels, read_parser
from facerefs.trainers.weights.pretrained import find_file

HULL = "face masks: hull of the 68 landmarks and the forehead, which stands in for face parsing"


@dataclass(frozen=True)
class FaceMask:
    """The mask m of eq. 1.

    note: one line for log and checkpoint that says where masks come from. region: the function that makes them.
    """

    note: str
    region: Callable[[Tensor, Tensor], Tensor]

    @torch.no_grad()
    def __call__(self, images: Tensor, landmarks: Tensor) -> Tensor:
        """Masks (B, 1, H, W), float32: 1 on facial pixels, else 0; no gradient flows.

        images: (B, 3, H, W) RGB in [-1, 1]. landmarks: (B, 68, 2) in their pixels.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self.region(images.float(), landmarks.float())


def load_face_mask(
    setting: str, device: torch.device | str, non_facial: Sequence[str] = NON_FACIAL
) -> FaceMask:
    """The face mask of a setting: `` is the hull; else weights of a face parser: a path, `cache` or `download`.

    non_facial: labels (`stages.engines.parsing.parser.LABELS`) that a parser's masks exclude; the hull ignores them.
    Raises ValueError for an unknown label, MissingWeights; both in one sentence.
    """
    check_labels(non_facial)
    if not setting:
        return FaceMask(HULL, _hull)
    path = find_file(setting, FILE, URL)
    parser = read_parser(path, non_facial).to(device)
    note = f"face masks: parsing by {path}, without {', '.join(non_facial)}"
    return FaceMask(note, lambda images, landmarks: parser(images))


def _hull(images: Tensor, landmarks: Tensor) -> Tensor:
    return face_hull(landmarks, images.shape[-2], images.shape[-1])
