"""Read third-party weights files safely: tensors by name, or an error in one sentence; no code of a file is run."""

import struct
import zipfile
from pathlib import Path
from pickle import UnpicklingError  # only to name an exception that torch may raise

import torch
from torch import Tensor, nn

from facerefs.stages.engines.engine import MissingWeights

MOST_BYTES = 2 << 30  # VGG19 with its classifier has 0.55 GiB

UNREADABLE = (
    UnpicklingError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError,
    EOFError, OSError, MemoryError, NotImplementedError, struct.error, zipfile.BadZipFile,
)  # fmt: skip
"""The exceptions of torch.load for damaged files and files of other kinds."""


def read_tensors(path: Path, what: str) -> dict[str, Tensor]:
    """The tensors by name of a state dictionary that `torch.save` wrote, on the CPU.

    what: the expected network, such as `VGG19`. Only floating tensors are returned. Those of a zip file are
    memory-mapped, so unused tensors are not read. Raises MissingWeights if the file holds anything other than a
    dictionary of plain values, or is larger than 2 GiB, packed or unpacked.
    """
    complaint = f"{path} holds no weights of {what}"
    try:
        state = _loaded(path)
    except MissingWeights as error:
        raise MissingWeights(f"{complaint}: {error}") from None
    except UNREADABLE as error:
        raise MissingWeights(f"{complaint}: torch cannot read it ({type(error).__name__})") from None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise MissingWeights(f"{complaint}: it is no dictionary of tensors by name")
    return {name: value for name, value in state.items() if _is_plain(value)}


def fill(network: nn.Module, tensors: dict[str, Tensor], complaint: str) -> None:
    """Load the complete state of a network from tensors of the same names; other names are ignored.

    Raises MissingWeights, which begins with the complaint, unless all tensors are there, of the right shape, and
    finite; the network is unchanged then.
    """
    state = network.state_dict()
    for name, value in state.items():
        if name not in tensors:
            raise MissingWeights(f"{complaint}: it has no {name}")
        found = tensors[name]
        if found.shape != value.shape:
            raise MissingWeights(
                f"{complaint}: {name} has shape {tuple(found.shape)}, not {tuple(value.shape)}"
            )
        if not found.isfinite().all():
            raise MissingWeights(f"{complaint}: {name} is not finite")
    network.load_state_dict({name: tensors[name] for name in state})


def _loaded(path: Path) -> object:
    archived = zipfile.is_zipfile(path)  # files that torch wrote before version 1.6 are not
    if max(path.stat().st_size, _unpacked_bytes(path) if archived else 0) > MOST_BYTES:
        raise MissingWeights(f"it is larger than {MOST_BYTES} bytes")
    loaded: object = torch.load(path, map_location="cpu", weights_only=True, mmap=archived)
    return loaded


def _unpacked_bytes(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.is_floating_point()
        and value.layout is torch.strided
        and value.device.type == "cpu"
    )
