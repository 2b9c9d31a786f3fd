"""Face parsing, and the labels that are not part of the face (RPF, section III.A)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from facerefs.stages.engines.parsing.bisenet import BiSeNet
from facerefs.stages.engines.torch_file import fill, read_tensors

LABELS = (
    "background", "skin", "left brow", "right brow", "left eye", "right eye", "glasses", "left ear", "right ear",
    "earring", "nose", "mouth", "upper lip", "lower lip", "neck", "necklace", "clothing", "hair", "hat",
)  # fmt: skip
"""CelebAMask-HQ's 18 parts and the background, in the order of the published weights: that of their training
(zllrunning/face-parsing.PyTorch). CelebAMask-HQ's own parser has another order, where the
nose follows the skin and clothing is last."""

NON_FACIAL = ("background", "neck", "necklace", "clothing", "hair", "hat")
"""The labels of section III.A, and the background (choice: it is not among the paper's 18 classes)."""

SIDE_PX = 512  # the side at which the published weights were trained

URL = "https://github.com/xinntao/facexlib/releases/download/v0.2.0/parsing_bisenet.pth"
FILE = "parsing_bisenet-468e13ca.pth"  # with the first digits of its SHA-256
_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, in [0, 1]
_STD = (0.229, 0.224, 0.225)


class Parser(nn.Module):
    """A frozen face parser (Yu et al., ECCV 2018).

    non_facial: labels where masks are 0. side_px: side of the network's square input.
    """

    mean: Tensor
    std: Tensor
    facial: Tensor

    def __init__(
        self, network: nn.Module, non_facial: Sequence[str] = NON_FACIAL, side_px: int = SIDE_PX
    ) -> None:
        super().__init__()
        self.network = network
        self.side_px = side_px
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1))
        self.register_buffer("facial", torch.tensor([label not in non_facial for label in LABELS]))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Masks (B, 1, H, W) in {0, 1} of images (B, 3, H, W) in [-1, 1], both float32."""
        return self.facial[self.labels(images)].float()[:, None]

    def labels(self, images: Tensor) -> Tensor:
        """The index in LABELS of the most likely label of each pixel: int64 (B, H, W).

        The image is first resized to side_px (bilinear, antialiased when it is reduced, as in PIL, which the published
        code uses). The logits, of stride 8, are interpolated to H x W (choice; at 512 px the same as in the published
        code), so that edges are smooth at any size.
        """
        seen = functional.interpolate(images, (self.side_px, self.side_px), mode="bilinear", antialias=True)
        logits = self.network(((seen + 1) / 2 - self.mean) / self.std)
        whole = functional.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=True)
        return whole.argmax(1)


def check_labels(names: Sequence[str]) -> None:
    """Raise ValueError in one sentence for a name that is not a label."""
    if unknown := [name for name in names if name not in LABELS]:
        raise ValueError(f"there is no label {unknown[0]!r} in face parsing; choose from {', '.join(LABELS)}")


def read_parser(path: Path, non_facial: Sequence[str] = NON_FACIAL) -> Parser:
    """A parser on the CPU, with the weights of the published file (79999_iter.pth or parsing_bisenet.pth).

    The state of torch's generator does not change. Raises MissingWeights in one sentence.
    """
    with torch.device("meta"):
        network = BiSeNet(len(LABELS))
    network.to_empty(device="cpu")
    fill(network, read_tensors(path, "a face parser"), f"{path} holds no weights of a face parser (BiSeNet)")
    return Parser(network, non_facial)
