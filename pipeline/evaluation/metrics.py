"""The figures: what each means, which direction is better, and how it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A figure. against: what an output is compared with; `set` is a set of images. digits: decimals shown."""

    name: str
    label: str
    better: Literal["higher", "lower"]
    against: Literal["truth", "reference", "set", "nothing"]
    digits: int
    unit: str
    group: Literal["fidelity", "naturalness", "identity"]
    meaning: str

    @property
    def heading(self) -> str:
        """The label with an arrow to the better side, such as `PSNR ↑`."""
        return f"{self.label} {'↑' if self.better == 'higher' else '↓'}"


_ALL = (
    Metric("psnr", "PSNR", "higher", "truth", 2, "dB", "fidelity", "of 8-bit RGB; equal images count as 100 dB"),
    Metric("ssim", "SSIM", "higher", "truth", 4, "", "fidelity", "of 8-bit RGB, window 11 px, mean of channels"),
    Metric("lpips_alex", "LPIPS Alex", "lower", "truth", 4, "", "fidelity", "perceptual distance 0.1 by AlexNet"),
    Metric("lpips_vgg", "LPIPS VGG", "lower", "truth", 4, "", "fidelity", "perceptual distance 0.1 by VGG16"),
    Metric(
        "landmark_error", "Landmarks", "lower", "truth", 2, "%", "fidelity",
        "mean distance of the 68 landmarks that one detector finds in output and ground truth, in per cent of the "
        "distance of the outer eye corners",
    ),
    Metric("fid", "FID", "lower", "set", 2, "", "naturalness", "Fréchet distance of Inception features to a set's"),
    Metric("niqe", "NIQE", "lower", "nothing", 3, "", "naturalness", "of the luma of the 8-bit image"),
    Metric("musiq", "MUSIQ", "higher", "nothing", 2, "", "naturalness", "MUSIQ of KonIQ-10k, by pyiqa"),
    Metric("ifqa", "IFQA", "higher", "nothing", 4, "", "naturalness", "interpretable face quality"),
    Metric("deg", "Deg.", "lower", "truth", 2, "degrees", "identity", "angle between both embeddings"),
    Metric("isc", "ISC", "higher", "truth", 4, "", "identity", "cosine of output's and ground truth's embeddings"),
    Metric("ips", "IPS", "higher", "reference", 4, "", "identity", "cosine of output's and reference's embeddings"),
    Metric(
        "iprecision", "iPrecision", "higher", "set", 4, "", "identity",
        "share of outputs among the ground truths of their own person",
    ),
    Metric(
        "irecall", "iRecall", "higher", "set", 4, "", "identity",
        "share of ground truths among the outputs of their own person",
    ),
)  # fmt: skip

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})

GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "fidelity": "How near the output is to the ground truth",
        "naturalness": "How natural it looks",
        "identity": "Whether it is the same person",
    }
)

IPS_TRAP = (
    "IPS compares with the reference, so a method that copies the reference whole has an IPS of nearly 1 (see the row "
    "`reference`): read it beside ISC and Deg., which compare with the ground truth."
)
IPS_ALONE = (
    "IPS compares with the reference, so a method that copies the reference whole has an IPS of nearly 1, and without "
    "ground truths nothing shows it: look at the pictures, or add --data for ISC and Deg."
)
MOST_PSNR = 100.0
"""What equal images count as, since a mean with infinity says nothing."""
