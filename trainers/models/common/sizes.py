"""The size of a model, measured without weights: nothing is initialised, computed or allocated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from facerefs.trainers.loop.settings import to_dict
from facerefs.trainers.models.model import Model, Restorer, RestorerInput


@dataclass(frozen=True)
class ModelSizes:
    """The size of a model. parameters: of each network. output, operations: None for models that are no restorers.

    output: shape of the output for one face. operations: floating-point operations for one face, as torch counts them:
    of convolutions and matrix products, where a multiplication and an addition count as two.
    """

    parameters: Mapping[str, int]
    output: tuple[int, ...] | None
    operations: int | None


def sizes_of(model: Model) -> ModelSizes:
    """The size of a model, from networks of fake tensors; a restorer processes one fake face, in eval mode.

    Raises what `networks()` and `restore()` raise: ValueError for invalid settings, RuntimeError for operations that
    fake tensors do not support.
    """
    with FakeTensorMode():
        networks = {name: network.eval() for name, network in model.networks().items()}
        parameters = {name: _count(network) for name, network in networks.items()}
        if not isinstance(model, Restorer):
            return ModelSizes(parameters, None, None)
        with FlopCounterMode(display=False) as counter:  # needs gradients to be enabled
            output = tuple(model.restore(networks, _seen(model)).shape)
    return ModelSizes(parameters, output, counter.get_total_flops())


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _seen(model: Restorer) -> RestorerInput:
    """An input of one face of the model's side, with as many references as the model takes."""
    count, side = model.data.references, model.size_px
    shape: Mapping[str, Any] = to_dict(model).get("shape", {})
    return RestorerInput(
        degraded=torch.empty(1, 3, side, side),
        references=torch.empty(1, count, 3, side, side),
        reference_embeddings=torch.empty(1, count, shape.get("embedding_dim", 0)),
        reference_landmarks=torch.empty(1, count, 68, 2),
        reference_masks=torch.empty(1, count, 1, side, side),
        warped=torch.empty(1, count, 3, side, side),
        valid=torch.empty(1, count, 1, side, side),
        landmarks=torch.empty(1, 68, 2),
    )
