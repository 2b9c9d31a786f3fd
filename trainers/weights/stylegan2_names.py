"""Names of StyleGAN2's parameters in other code: rosinality's, NVIDIA's (stylegan2-ada-pytorch) and basicsr's.

All of them scale weights at run time as facerefs does, include the affine layers' initial 1 in the bias, and store the
upsampling convolutions for a transposed convolution. So values are copied unchanged; shapes differ only by axes of
length 1.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from facerefs.trainers.networks.stylegan2.widths import LARGEST_PX

OURS = "facerefs"


@dataclass(frozen=True)
class Names:
    """One naming scheme: the other name of each of our parameters, and the size of the network in the file."""

    naming: str
    theirs: Mapping[str, str]  # by our name
    size_px: int


@dataclass(frozen=True)
class _GeneratorNaming:
    """A naming scheme for generators; `first` and `second` are the convolutions of a resolution."""

    const: str
    mapping: Callable[[int], str]
    first: Callable[[int], str]
    second: Callable[[int], str]
    to_rgb: Callable[[int], str]
    conv: Mapping[str, str]  # our names of the parts of a convolution -> theirs
    rgb: Mapping[str, str]


_AFFINE = ("weight", "bias")


def _parts(weight: str, affine: str, others: Mapping[str, str]) -> dict[str, str]:
    return {"weight": weight, **{f"affine.{part}": f"{affine}.{part}" for part in _AFFINE}, **others}


def _convs(weight: str, affine: str, noise: str, bias: str) -> dict[str, str]:
    parts = {f"conv.{ours}": theirs for ours, theirs in _parts(weight, affine, {}).items()}
    return parts | {"noise_strength": noise, "bias": bias}


def _doubling(side: int) -> int:
    """0 for the 8 px resolution, 1 for 16 px and so on."""
    return side.bit_length() - 4


_GENERATORS = {
    "rosinality": _GeneratorNaming(
        const="input.input",
        mapping=lambda layer: f"style.{layer + 1}",
        first=lambda side: "conv1" if side == 4 else f"convs.{2 * _doubling(side)}",
        second=lambda side: f"convs.{2 * _doubling(side) + 1}",
        to_rgb=lambda side: "to_rgb1" if side == 4 else f"to_rgbs.{_doubling(side)}",
        conv=_convs("conv.weight", "conv.modulation", "noise.weight", "activate.bias"),
        rgb=_parts("conv.weight", "conv.modulation", {"bias": "bias"}),
    ),
    "NVIDIA": _GeneratorNaming(
        const="synthesis.b4.const",
        mapping=lambda layer: f"mapping.fc{layer}",
        first=lambda side: f"synthesis.b{side}.conv{1 if side == 4 else 0}",
        second=lambda side: f"synthesis.b{side}.conv1",
        to_rgb=lambda side: f"synthesis.b{side}.torgb",
        conv=_convs("weight", "affine", "noise_strength", "bias"),
        rgb=_parts("weight", "affine", {"bias": "bias"}),
    ),
    "basicsr": _GeneratorNaming(
        const="constant_input.weight",
        mapping=lambda layer: f"style_mlp.{layer + 1}",
        first=lambda side: "style_conv1" if side == 4 else f"style_convs.{2 * _doubling(side)}",
        second=lambda side: f"style_convs.{2 * _doubling(side) + 1}",
        to_rgb=lambda side: "to_rgb1" if side == 4 else f"to_rgbs.{_doubling(side)}",
        conv=_convs("modulated_conv.weight", "modulated_conv.modulation", "weight", "activate.bias"),
        rgb=_parts("modulated_conv.weight", "modulated_conv.modulation", {"bias": "bias"}),
    ),
    OURS: _GeneratorNaming(
        const="synthesis.const",
        mapping=lambda layer: f"mapping.layers.{layer}",
        first=lambda side: f"synthesis.blocks.{side}.first",
        second=lambda side: f"synthesis.blocks.{side}.second",
        to_rgb=lambda side: f"synthesis.blocks.{side}.to_rgb",
        conv={ours: ours for ours in _convs("conv.weight", "conv.affine", "noise_strength", "bias")},
        rgb=_parts("weight", "affine", {"bias": "bias"}),
    ),
}


def generator_names(parameters: Collection[str], found: Collection[str]) -> list[Names]:
    """Each naming scheme for a generator of ours with these parameters; with the mapping if it has the same depth."""
    return [_generator(naming, theirs, parameters, found) for naming, theirs in _GENERATORS.items()]


def _generator(
    naming: str, theirs: _GeneratorNaming, parameters: Collection[str], found: Collection[str]
) -> Names:
    ours = _GENERATORS[OURS]
    names = {ours.const: theirs.const}
    layers = sum(f"{ours.mapping(layer)}.weight" in parameters for layer in range(len(parameters)))
    if f"{theirs.mapping(layers)}.weight" not in found:
        for layer in range(layers):
            for part in _AFFINE:
                names[f"{ours.mapping(layer)}.{part}"] = f"{theirs.mapping(layer)}.{part}"
    sides = _sides(4)
    for side in sides:
        places = [(ours.first(side), theirs.first(side), ours.conv, theirs.conv)]
        if side > 4:
            places.append((ours.second(side), theirs.second(side), ours.conv, theirs.conv))
        places.append((ours.to_rgb(side), theirs.to_rgb(side), ours.rgb, theirs.rgb))
        for own, other, own_parts, other_parts in places:
            for part, own_part in own_parts.items():
                names[f"{own}.{own_part}"] = f"{other}.{other_parts[part]}"
    there = [side for side in sides if f"{theirs.first(side)}.{theirs.conv['conv.weight']}" in found]
    kept = {name: other for name, other in names.items() if name in parameters}
    return Names(naming, kept, max(there, default=0))


def discriminator_names(parameters: Collection[str], found: Collection[str]) -> list[Names]:
    """Each naming scheme for a discriminator of ours with these parameters; the first layer only for the same size."""
    size_px = max((side for side in _sides(8) if f"blocks.{side}.skip.weight" in parameters), default=4)
    return [
        _sequential("rosinality", "convs", size_px, found),
        _sequential("basicsr", "conv_body", size_px, found),
        _by_resolution(size_px, found),
        _own(parameters, size_px, found),
    ]


def _sequential(naming: str, body: str, size_px: int, found: Collection[str]) -> Names:
    """A naming scheme that counts blocks from the largest resolution on."""
    number = 1
    while f"{body}.{number}.conv1.0.weight" in found:
        number += 1
    theirs_px = 4 << (number - 1)
    names: dict[str, str] = {}
    if theirs_px == size_px:
        names |= {"from_rgb.weight": f"{body}.0.0.weight", "from_rgb.bias": f"{body}.0.1.bias"}
    for side in (side for side in _sides(8) if side <= min(size_px, theirs_px)):
        block = f"{body}.{(theirs_px // side).bit_length()}"
        names |= {
            f"blocks.{side}.first.weight": f"{block}.conv1.0.weight",
            f"blocks.{side}.first.bias": f"{block}.conv1.1.bias",
            f"blocks.{side}.second.conv.weight": f"{block}.conv2.1.weight",
            f"blocks.{side}.second.conv.bias": f"{block}.conv2.2.bias",
            f"blocks.{side}.skip.weight": f"{block}.skip.1.weight",
        }
    names |= {"last.weight": "final_conv.0.weight", "last.bias": "final_conv.1.bias"}
    for ours, theirs in (("hidden", "final_linear.0"), ("logit", "final_linear.1")):
        names |= {f"{ours}.{part}": f"{theirs}.{part}" for part in _AFFINE}
    return Names(naming, names, theirs_px)


def _by_resolution(size_px: int, found: Collection[str]) -> Names:
    layers = {"from_rgb": f"b{size_px}.fromrgb", "last": "b4.conv", "hidden": "b4.fc", "logit": "b4.out"}
    for side in (side for side in _sides(8) if side <= size_px):
        layers |= {
            f"blocks.{side}.first": f"b{side}.conv0",
            f"blocks.{side}.second.conv": f"b{side}.conv1",
            f"blocks.{side}.skip": f"b{side}.skip",
        }
    names = {f"{ours}.{part}": f"{theirs}.{part}" for ours, theirs in layers.items() for part in _AFFINE}
    kept = {ours: theirs for ours, theirs in names.items() if not ours.endswith("skip.bias")}
    there = [side for side in _sides(8) if f"b{side}.conv0.weight" in found]
    return Names("NVIDIA", kept, max(there, default=0))


def _own(parameters: Collection[str], size_px: int, found: Collection[str]) -> Names:
    theirs_px = max((side for side in _sides(8) if f"blocks.{side}.skip.weight" in found), default=0)
    same = theirs_px == size_px
    return Names(OURS, {name: name for name in parameters if same or "from_rgb" not in name}, theirs_px)


def _sides(smallest: int) -> list[int]:
    return [1 << power for power in range(smallest.bit_length() - 1, LARGEST_PX.bit_length())]
