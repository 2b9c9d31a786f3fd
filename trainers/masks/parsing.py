"""Face parsing by labels, and which of them are no face (RPF, section III.A)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from facerefs.trainers.networks.bisenet import BiSeNet
from facerefs.trainers.weights.pretrained import find_file
from facerefs.trainers.weights.read import fill, read_tensors

LABELS = (
    "background", "skin", "left brow", "right brow", "left eye", "right eye", "glasses", "left ear", "right ear",
    "earring", "nose", "mouth", "upper lip", "lower lip", "neck", "necklace", "clothing", "hair", "hat",
)  # fmt: skip
"""CelebAMask-HQ's 18 parts and the background, in the order of the published weights. It is that of their training
(zllrunning/face-parsing.PyTorch), not that of CelebAMask-HQ's own parser, where the
nose follows the skin and clothing is last."""

NON_FACIAL = ("background", "neck", "necklace", "clothing", "hair", "hat")
"""Section III.A, and the background (choice: the paper counts 18 classes, so it is none of them)."""

SIDE_PX = 512  # at which the published weights were trained

_URL = "https://github.com/xinntao/facexlib/releases/download/v0.2.0/parsing_bisenet.pth"
_FILE = "parsing_bisenet-468e13ca.pth"  # with the first digits of its SHA-256
_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, in [0, 1]
_STD = (0.229, 0.224, 0.225)


class Parser(nn.Module):
    """A frozen face parser (Yu et al., ECCV 2018).

    non_facial: labels of which masks are 0. side_px: of the squares that the network sees.
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
        """The likeliest of LABELS at each pixel: int64 (B, H, W).

        The network sees the image at side_px (bilinear, antialiased where it shrinks, as PIL does, by which the
        weights' own code resizes). Its logits, of stride 8, are interpolated to H x W (choice; at 512 px the same as
        there), so that edges are smooth at any size.
        """
        seen = functional.interpolate(images, (self.side_px, self.side_px), mode="bilinear", antialias=True)
        logits = self.network(((seen + 1) / 2 - self.mean) / self.std)
        whole = functional.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=True)
        return whole.argmax(1)


def check_labels(names: Sequence[str]) -> None:
    """Raise ValueError in one sentence for a name that is no label."""
    if unknown := [name for name in names if name not in LABELS]:
        raise ValueError(f"there is no label {unknown[0]!r} in face parsing; choose from {', '.join(LABELS)}")


def load_parser(setting: str, non_facial: Sequence[str]) -> tuple[Parser, str]:
    """A parser on the CPU, and a line that says which, for log and checkpoint.

    setting: the path of the published file (79999_iter.pth or parsing_bisenet.pth), `cache` or `download`. Torch's
    generator stays where it is. Raises MissingWeights in one sentence.
    """
    path = find_file(setting, _FILE, _URL)
    with torch.device("meta"):
        network = BiSeNet(len(LABELS))
    network.to_empty(device="cpu")
    fill(network, read_tensors(path, "a face parser"), f"{path} holds no weights of a face parser (BiSeNet)")
    return Parser(network, non_facial), f"face masks: parsing by {path}, without {', '.join(non_facial)}"
