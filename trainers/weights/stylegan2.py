"""Load StyleGAN2 generators and discriminators from files of facerefs and of other code, and report what matched.

Other networks may differ in two details that names do not show: NVIDIA's may clamp features at +-256, which its
training in float16 needs, and adds its 1e-8 to an unscaled demodulation.
"""

import math
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.torch_file import MOST_BYTES, UNREADABLE
from facerefs.trainers.networks.stylegan2.discriminator import Discriminator
from facerefs.trainers.networks.stylegan2.generator import Generator
from facerefs.trainers.weights.stylegan2_names import Names, discriminator_names, generator_names

_AVERAGED = ("ema", "averages")  # parts of the names of moving averages, in any case
_CONSTANTS = (".kernel", "resample_filter")  # of the blur, which is always [1, 3, 3, 1]
_DEEPEST = 6  # levels of nested dictionaries and prefixes, as in `state_dict`, `module.`, `generator.`
_LEAST_SHARE = 0.5  # of a network's parameters, without its mapping, that a file must match (choice)
_SHOWN = 3
_NOISE = ".noise_strength"

_Find = Callable[[Collection[str], Collection[str]], list[Names]]


@dataclass(frozen=True)
class Report:
    """The result of loading. Names are those of facerefs, except in `left_out`. As a string it is one sentence."""

    path: Path
    place: (
        str  # of the network in the file: names of dictionaries and prefixes, such as `params_ema.generator`
    )
    naming: str  # `rosinality`, `NVIDIA`, `basicsr`, `facerefs`
    size_px: int  # of the network in the file
    matched: tuple[str, ...]
    missing: tuple[str, ...]  # not in the file, or in an incomplete mapping: not changed
    other_shape: tuple[str, ...]  # not changed either
    left_out: tuple[str, ...]  # names in the file that are not used

    def __str__(self) -> str:
        wanted = len(self.matched) + len(self.missing) + len(self.other_shape)
        place = f"{self.place}, " if self.place else ""
        where = f"{place}{self.naming} names, {self.size_px} px"
        parts = [f"{self.path} ({where}): {len(self.matched)} of {wanted} tensors matched"]
        for what, names in (
            ("not in the file", self.missing),
            ("of another shape", self.other_shape),
            ("left out of the file", self.left_out),
        ):
            if names:
                more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
                parts.append(f"{what}: {', '.join(names[:_SHOWN])}{more}")
        return "; ".join(parts)


def load_or_draw(what: str, setting: str, load: Callable[[Path], Report]) -> str:
    """Load a network from the file of a setting, or keep its random weights (`random`); returns a note for the log."""
    return f"{what}: random weights" if setting == "random" else f"{what}: {load(Path(setting))}"


def load_generator(generator: Generator, path: Path | str) -> Report:
    """Load a generator from a file; if the file holds several, the one that fits best, moving averages first.

    The file is a state dictionary, or a dictionary of them, as `torch.save` writes it; or a checkpoint of facerefs. The
    generator may be a part of the network in the file, whose names then have a prefix: `generator.` in GPEN's files,
    `module.`, `g_ema.` and so on. Weights of a larger network can fill a smaller one of the same widths. A mapping of
    another depth is not loaded.

    A generator with features beside its own takes a file of the same kind, or of an ordinary generator. In the second
    case it computes the same as the ordinary one at first: weights of the features are 0, and the others are scaled up,
    because weights are divided by the square root of the number of inputs when used; noise strengths are not loaded.

    Raises MissingWeights if the file is not there or cannot be read, ValueError if it does not fit; the generator is
    unchanged then.
    """
    ordinary = None
    if generator.synthesis.beside:
        with torch.device("meta"):
            ordinary = dict(generator.without_beside().named_parameters())
    return _load(generator, Path(path), "generator", generator_names, ordinary)


def load_discriminator(discriminator: Discriminator, path: Path | str) -> Report:
    """Load a discriminator from a file, as `load_generator`; its first layer only from a network of the same size."""
    return _load(discriminator, Path(path), "discriminator", discriminator_names)


@dataclass(frozen=True, eq=False)
class _Match:
    report: Report
    tensors: Mapping[str, Tensor]
    share: float  # of the network's parameters, without the mapping
    averaged: bool


def _load(
    network: nn.Module, path: Path, what: str, find: _Find, narrower: Mapping[str, Tensor] | None = None
) -> Report:
    """Load a network from the best match in a file.

    narrower: parameters of an ordinary network; if given, the network may also be loaded from a file of those.
    """
    parameters: dict[str, Tensor] = dict(network.named_parameters())
    kinds = [parameters]
    if narrower is not None:
        kinds.append({name: one for name, one in narrower.items() if not name.endswith(_NOISE)})
    sets = list(_state_dictionaries(_read(path, what), "", _DEEPEST))
    matches = [
        _match(path, place, wanted, tensors, names)
        for wanted in kinds
        for place, tensors in sets
        for names in find(wanted.keys(), tensors.keys())
    ]
    best = max(matches, key=lambda match: (match.share, match.averaged), default=None)
    if best is None or best.share < _LEAST_SHARE:
        share = int(100 * best.share) if best else 0
        raise ValueError(
            f"{path} does not fit this StyleGAN2 {what}: {share} % of it matches by name and shape, so give weights "
            "of the same widths, or change the model's"
        )
    for name, tensor in best.tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{path} is broken: {name} of the {what} is not finite")
    state = {name: _widened(name, tensor, parameters[name]) for name, tensor in best.tensors.items()}
    network.load_state_dict(state, strict=False)
    return best.report


def _widened(name: str, tensor: Tensor, own: Tensor) -> Tensor:
    """A tensor padded to the shape of `own`, for the same output: with zeros, in affine layers with random weights."""
    if tensor.shape == own.shape:
        return tensor
    wide = own.detach().clone() if ".affine." in name else torch.zeros_like(own)
    gain = math.sqrt(own.shape[1] / tensor.shape[1]) if tensor.ndim == 4 else 1.0  # of a convolution's inputs
    wide[tuple(slice(length) for length in tensor.shape)] = tensor.to(own.device) * gain
    return wide


def _match(
    path: Path, place: str, parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor], names: Names
) -> _Match:
    there = {ours: tensors[theirs] for ours, theirs in names.theirs.items() if theirs in tensors}
    fitting = {
        name: tensor.reshape(parameters[name].shape)
        for name, tensor in there.items()
        if _long_axes(tensor) == _long_axes(parameters[name])
    }
    mapping = [name for name in parameters if _of_mapping(name)]
    if any(name not in fitting for name in mapping):  # an incomplete mapping is not used
        fitting = {name: tensor for name, tensor in fitting.items() if not _of_mapping(name)}
    used = {names.theirs[name] for name in fitting}
    rest = [name for name in parameters if name not in fitting]
    other_shape = [
        name for name in rest if name in there and _long_axes(there[name]) != _long_axes(parameters[name])
    ]
    report = Report(
        path=path,
        place=place,
        naming=names.naming,
        size_px=names.size_px,
        matched=tuple(fitting),
        missing=tuple(name for name in rest if name not in other_shape),
        other_shape=tuple(other_shape),
        left_out=tuple(name for name in tensors if name not in used and not name.endswith(_CONSTANTS)),
    )
    useful, wanted = _numbers(fitting), _numbers(parameters)
    averaged = any(part in place.lower() for part in _AVERAGED)
    return _Match(report, fitting, useful / wanted, averaged)


def _numbers(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for name, tensor in tensors.items() if not _of_mapping(name))


def _of_mapping(name: str) -> bool:
    return name.startswith("mapping.")


def _long_axes(tensor: Tensor) -> list[int]:
    return [length for length in tensor.shape if length != 1]


def _state_dictionaries(content: object, place: str, depth: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """All dictionaries of tensors within a dictionary, each after its path of names.

    The tensors of all names with the same prefix are such a dictionary too: a network that is a part of another one.
    """
    if not isinstance(content, dict) or depth == 0:
        return
    tensors = {name: part for name, part in content.items() if _is_weight(name, part)}
    if tensors:
        yield place, tensors
    inner: dict[str, object] = {name: part for name, part in content.items() if isinstance(part, dict)}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, dot, rest = name.partition(".")
        if dot:
            parts.setdefault(prefix, {})[rest] = tensor
    for name, part in [*inner.items(), *parts.items()]:
        yield from _state_dictionaries(part, f"{place}.{name}" if place else str(name), depth - 1)


def _is_weight(name: object, part: object) -> bool:
    return (
        isinstance(name, str)
        and isinstance(part, Tensor)
        and part.is_floating_point()
        and part.layout is torch.strided
        and part.device.type == "cpu"
    )


def _read(path: Path, what: str) -> Any:
    """The content of a file of torch.save, if it holds only plain values."""
    if not path.is_file():
        raise MissingWeights(
            f"there are no weights of a StyleGAN2 {what} at {str(path)!r}: give the path of a file"
        )
    try:
        mapped = zipfile.is_zipfile(path)  # files that torch wrote before version 1.6 are not
        if max(path.stat().st_size, _unpacked_bytes(path) if mapped else 0) > MOST_BYTES:
            raise MissingWeights(f"{path} holds no StyleGAN2 {what}: it is larger than {MOST_BYTES} bytes")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except UNREADABLE as error:
        raise MissingWeights(
            f"{path} cannot be read as weights ({type(error).__name__}): it must hold state dictionaries alone, as "
            "`torch.save(network.state_dict(), path)` writes them; pickled networks must be converted first"
        ) from None


def _unpacked_bytes(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())
