"""Patch discriminators of eyes and mouth: one logit per position of a small region of the face."""

import torch
from torch import Tensor, nn

from facerefs.trainers.geometry.rois import roi_align
from facerefs.trainers.networks.stylegan2.discriminator import Block
from facerefs.trainers.networks.stylegan2.layers import EqualConv2d

REDUCTION = 4  # of height and width, by two down-samplings


class PatchDiscriminator(nn.Module):
    """Regions (B, 3, H, W) in [-1, 1] to logits (B, 1, H / 4, W / 4), float32: the higher, the more real.

    The first blocks of StyleGAN2's discriminator, "similar to that of the global discriminator" with "two
    down-sampling operations" and "a single-channel feature map" (Hu et al., "Enhancing quality of pose-varied face
    restoration", section 3.4). channels: at full size; choice: then twice and four times as many, and one more
    3 x 3 convolution before the logits. H and W must be multiples of 4.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.from_rgb = EqualConv2d(3, channels, 1, activate=True)
        self.blocks = nn.Sequential(Block(channels, 2 * channels), Block(2 * channels, 4 * channels))
        self.last = EqualConv2d(4 * channels, 4 * channels, 3, activate=True)
        self.logits = EqualConv2d(4 * channels, 1, 3)

    def forward(self, regions: Tensor) -> Tensor:
        """The logit of each position."""
        features = self.last(self.blocks(self.from_rgb(regions)))
        with torch.autocast(regions.device.type, enabled=False):
            logits: Tensor = self.logits(features.float())
        return logits


class LocalDiscriminators(nn.Module):
    """One discriminator for each eye and one for the mouth, of regions cropped by RoIAlign: the paper's section 3.4.

    eye_px, mouth_px: sides of the regions, multiples of 4.
    """

    def __init__(self, channels: int, eye_px: int, mouth_px: int) -> None:
        super().__init__()
        self.left_eye, self.right_eye = PatchDiscriminator(channels), PatchDiscriminator(channels)
        self.mouth = PatchDiscriminator(channels)
        self.eye_px, self.mouth_px = eye_px, mouth_px

    def forward(self, images: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        """Logits of each part of images (B, 3, H, W); boxes (B, 3, 4) of left eye, right eye and mouth, in pixels."""
        left, right = roi_align(images, boxes[:, :2], self.eye_px, self.eye_px).unbind(1)
        (mouth,) = roi_align(images, boxes[:, 2:], self.mouth_px, self.mouth_px).unbind(1)
        return {
            "left_eye": self.left_eye(left),
            "right_eye": self.right_eye(right),
            "mouth": self.mouth(mouth),
        }
