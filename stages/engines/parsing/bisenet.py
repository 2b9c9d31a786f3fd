"""BiSeNet: Yu et al., "BiSeNet: Bilateral segmentation network for real-time semantic segmentation", ECCV 2018.

In the version of the widely used face parser (zllrunning/face-parsing.PyTorch; facexlib's parsing_bisenet is the
same file): the context path is a ResNet-18, and its features of stride 8 replace the paper's spatial path.
The parameters have the names of that file. For inference only: statistics are fixed, and the two heads that
only training needs (the auxiliary losses of section 3.3) are left out.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_WIDTHS = (64, 128, 256, 512)  # of ResNet-18
_CONTEXT = 128
_FUSED = 256
_EPSILON = 1e-5


class FixedNorm(nn.Module):
    """Batch normalisation with fixed statistics; its state is these, scale and offset."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, values: Tensor) -> Tensor:
        return functional.batch_norm(
            values, self.running_mean, self.running_var, self.weight, self.bias, eps=_EPSILON
        )


class _ConvNorm(nn.Module):
    """Convolution, normalisation, ReLU."""

    def __init__(self, channels: int, width: int, kernel: int) -> None:
        super().__init__()
        self.conv = _conv(channels, width, kernel)
        self.bn = FixedNorm(width)

    def forward(self, values: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(values)))


class _Residual(nn.Module):
    """Basic block of He et al., "Deep residual learning for image recognition", CVPR 2016."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels, width, 3, stride)
        self.bn1 = FixedNorm(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = FixedNorm(width)
        same = channels == width and stride == 1
        self.downsample = (
            nn.Identity() if same else nn.Sequential(_conv(channels, width, 1, stride), FixedNorm(width))
        )

    def forward(self, values: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(values)))))
        return functional.relu(inner + self.downsample(values))


class _ResNet18(nn.Module):
    """ResNet-18 without its classifier; returns the features of strides 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv(3, _WIDTHS[0], 7, stride=2)
        self.bn1 = FixedNorm(_WIDTHS[0])
        self.layer1 = _pair(_WIDTHS[0], _WIDTHS[0], stride=1)
        self.layer2 = _pair(_WIDTHS[0], _WIDTHS[1], stride=2)
        self.layer3 = _pair(_WIDTHS[1], _WIDTHS[2], stride=2)
        self.layer4 = _pair(_WIDTHS[2], _WIDTHS[3], stride=2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stem = functional.max_pool2d(functional.relu(self.bn1(self.conv1(images))), 3, stride=2, padding=1)
        at8 = self.layer2(self.layer1(stem))
        at16 = self.layer3(at8)
        return at8, at16, self.layer4(at16)


class _AttentionRefinement(nn.Module):
    """Channel attention from the mean over the whole image (section 3.2, figure 2b)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _ConvNorm(channels, _CONTEXT, 3)
        self.conv_atten = _conv(_CONTEXT, _CONTEXT, 1)
        self.bn_atten = FixedNorm(_CONTEXT)

    def forward(self, values: Tensor) -> Tensor:
        values = self.conv(values)
        weight: Tensor = self.bn_atten(self.conv_atten(_mean(values)))
        return values * weight.sigmoid()


class _ContextPath(nn.Module):
    """The context path (section 3.2): ResNet's features of stride 8, and context features (B, 128, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = _ResNet18()
        self.arm16 = _AttentionRefinement(_WIDTHS[2])
        self.arm32 = _AttentionRefinement(_WIDTHS[3])
        self.conv_head32 = _ConvNorm(_CONTEXT, _CONTEXT, 3)
        self.conv_head16 = _ConvNorm(_CONTEXT, _CONTEXT, 3)
        self.conv_avg = _ConvNorm(_WIDTHS[3], _CONTEXT, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        at8, at16, at32 = self.resnet(images)
        context = self.arm32(at32) + self.conv_avg(_mean(at32))
        context = self.arm16(at16) + self.conv_head32(_enlarged(context, at16))
        return at8, self.conv_head16(_enlarged(context, at8))


class _FeatureFusion(nn.Module):
    """Fusion of both paths, with channel attention (section 3.2, figure 2c)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convblk = _ConvNorm(channels, _FUSED, 1)
        self.conv1 = _conv(_FUSED, _FUSED // 4, 1)
        self.conv2 = _conv(_FUSED // 4, _FUSED, 1)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        values: Tensor = self.convblk(torch.cat([spatial, context], 1))
        weight: Tensor = self.conv2(functional.relu(self.conv1(_mean(values))))
        return values + values * weight.sigmoid()


class _Head(nn.Module):
    def __init__(self, labels: int) -> None:
        super().__init__()
        self.conv = _ConvNorm(_FUSED, _FUSED, 3)
        self.conv_out = _conv(_FUSED, labels, 1)

    def forward(self, values: Tensor) -> Tensor:
        logits: Tensor = self.conv_out(self.conv(values))
        return logits


class BiSeNet(nn.Module):
    """Images (B, 3, H, W), normalised as ImageNet's -> logits (B, labels, H/8, W/8), rounded up.

    The published code enlarges them to (H, W) by bilinear interpolation with aligned corners; here the caller does
    that, as it may need another size.
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.cp = _ContextPath()
        self.ffm = _FeatureFusion(_WIDTHS[1] + _CONTEXT)
        self.conv_out = _Head(labels)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.conv_out(self.ffm(*self.cp(images)))
        return logits


def _conv(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)


def _pair(channels: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Residual(channels, width, stride), _Residual(width, width, 1))


def _mean(values: Tensor) -> Tensor:
    return values.mean((2, 3), keepdim=True)


def _enlarged(values: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(values, like.shape[-2:], mode="nearest")
