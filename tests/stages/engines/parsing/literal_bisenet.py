"""The published face parser, written down once more: its tensors, and its forward pass step by step."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, ...]


def published_shapes(labels: int = 19) -> dict[str, Shape]:
    """Names and shapes of all tensors of 79999_iter.pth (parsing_bisenet.pth), counters included."""
    convs: dict[str, Shape] = {"cp.resnet.conv1": (64, 3, 7, 7)}
    norms = {"cp.resnet.bn1": 64}
    width = 64
    for layer, wide in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            at = f"cp.resnet.layer{layer}.{block}"
            convs |= {f"{at}.conv1": (wide, width, 3, 3), f"{at}.conv2": (wide, wide, 3, 3)}
            norms |= {f"{at}.bn1": wide, f"{at}.bn2": wide}
            if layer > 1 and block == 0:
                convs[f"{at}.downsample.0"] = (wide, width, 1, 1)
                norms[f"{at}.downsample.1"] = wide
            width = wide
    for at, before in (("cp.arm16", 256), ("cp.arm32", 512)):
        convs |= {f"{at}.conv.conv": (128, before, 3, 3), f"{at}.conv_atten": (128, 128, 1, 1)}
        norms |= {f"{at}.conv.bn": 128, f"{at}.bn_atten": 128}
    for at, shape in (
        ("cp.conv_head32", (128, 128, 3, 3)),
        ("cp.conv_head16", (128, 128, 3, 3)),
        ("cp.conv_avg", (128, 512, 1, 1)),
        ("ffm.convblk", (256, 256, 1, 1)),
    ):
        convs[f"{at}.conv"] = shape
        norms[f"{at}.bn"] = shape[0]
    convs |= {"ffm.conv1": (64, 256, 1, 1), "ffm.conv2": (256, 64, 1, 1)}
    for at, before, middle in (("conv_out", 256, 256), ("conv_out16", 128, 64), ("conv_out32", 128, 64)):
        convs |= {f"{at}.conv.conv": (middle, before, 3, 3), f"{at}.conv_out": (labels, middle, 1, 1)}
        norms[f"{at}.conv.bn"] = middle
    shapes = {f"{name}.weight": shape for name, shape in convs.items()}
    for name, channels in norms.items():
        shapes |= {
            f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")
        }
        shapes[f"{name}.num_batches_tracked"] = ()
    return shapes


def drawn_tensors(labels: int = 19) -> dict[str, Tensor]:
    """Random tensors of these names and shapes."""
    generator = torch.Generator().manual_seed(3)
    tensors: dict[str, Tensor] = {}
    for name, shape in published_shapes(labels).items():
        noise = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(80_000)
        elif len(shape) == 4:
            tensors[name] = noise * math.sqrt(2 / math.prod(shape[1:]))
        elif name.endswith(("running_var", ".weight")):
            tensors[name] = 1 + 0.3 * noise.tanh()
        else:
            tensors[name] = 0.3 * noise
    return tensors


def literal_logits(tensors: dict[str, Tensor], images: Tensor) -> Tensor:
    """The main head's output for normalised images (B, 3, H, W), enlarged to (B, labels, H, W)."""

    def conv(name: str, values: Tensor, stride: int = 1) -> Tensor:
        weight = tensors[f"{name}.weight"]
        return F.conv2d(values, weight, stride=stride, padding=weight.shape[-1] // 2)

    def norm(name: str, values: Tensor) -> Tensor:
        mean, var, scale, offset = (
            tensors[f"{name}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (values - mean) / torch.sqrt(var + 1e-5) * scale + offset

    def conv_norm_relu(name: str, values: Tensor) -> Tensor:
        return norm(f"{name}.bn", conv(f"{name}.conv", values)).clamp(min=0)

    def block(name: str, values: Tensor, stride: int) -> Tensor:
        inner = norm(f"{name}.bn1", conv(f"{name}.conv1", values, stride)).clamp(min=0)
        inner = norm(f"{name}.bn2", conv(f"{name}.conv2", inner))
        if f"{name}.downsample.0.weight" in tensors:
            values = norm(f"{name}.downsample.1", conv(f"{name}.downsample.0", values, stride))
        return (inner + values).clamp(min=0)

    def refined(name: str, values: Tensor) -> Tensor:
        values = conv_norm_relu(f"{name}.conv", values)
        weight = norm(f"{name}.bn_atten", conv(f"{name}.conv_atten", F.adaptive_avg_pool2d(values, 1)))
        return values / (1 + torch.exp(-weight))

    values = norm("cp.resnet.bn1", conv("cp.resnet.conv1", images, 2)).clamp(min=0)
    values = F.max_pool2d(values, kernel_size=3, stride=2, padding=1)
    strides = {}
    for layer in (1, 2, 3, 4):
        values = block(f"cp.resnet.layer{layer}.0", values, 1 if layer == 1 else 2)
        values = strides[layer] = block(f"cp.resnet.layer{layer}.1", values, 1)
    at8, at16, at32 = strides[2], strides[3], strides[4]

    everywhere = conv_norm_relu("cp.conv_avg", F.adaptive_avg_pool2d(at32, 1))
    wide = refined("cp.arm32", at32) + everywhere.expand(-1, -1, *at32.shape[2:])
    wide = conv_norm_relu("cp.conv_head32", F.interpolate(wide, at16.shape[2:], mode="nearest"))
    wide = refined("cp.arm16", at16) + wide
    wide = conv_norm_relu("cp.conv_head16", F.interpolate(wide, at8.shape[2:], mode="nearest"))

    fused = conv_norm_relu("ffm.convblk", torch.cat([at8, wide], dim=1))
    weight = conv("ffm.conv2", conv("ffm.conv1", F.adaptive_avg_pool2d(fused, 1)).clamp(min=0))
    fused = fused / (1 + torch.exp(-weight)) + fused
    out = conv("conv_out.conv_out", conv_norm_relu("conv_out.conv", fused))
    return F.interpolate(out, images.shape[2:], mode="bilinear", align_corners=True)
