"""The same start for all arms of a model: weights are copied wherever they have the same name and shape."""

from dataclasses import dataclass

import torch

from facerefs.trainers.loop.seeds import seed_torch
from facerefs.trainers.loop.training_module import Networks
from facerefs.trainers.models.model import Model


@dataclass(frozen=True)
class Shared:
    """How many parameters were copied, and how many are fresh: drawn for this arm alone; and where those are."""

    copied: int
    fresh: int
    fresh_in: tuple[str, ...]

    def __str__(self) -> str:
        where = f" ({', '.join(self.fresh_in)})" if self.fresh_in else ""
        return f"{self.copied:,} parameters copied, {self.fresh:,} fresh{where}"


def start_as(networks: Networks, model: Model) -> Shared:
    """Give the networks the weights with which `model` starts, for its seed: parameters and buffers, in place.

    What only one of the two has stays as it was drawn; so the modules that ideas add should begin as the identity.
    """
    seed_torch(model.loop.seed, "networks")  # as `train` does
    return copy_shared(model.networks(), networks)


@torch.no_grad()
def copy_shared(source: Networks, target: Networks) -> Shared:
    """Copy what has the same network, name and shape into `target`, in place."""
    copied = fresh = 0
    places: dict[str, None] = {}
    for key, network in target.items():
        theirs = source[key].state_dict() if key in source else {}
        learned = {name for name, _ in network.named_parameters()}
        for name, own in network.state_dict().items():
            same = name in theirs and theirs[name].shape == own.shape
            if same:
                own.copy_(theirs[name])
            if name in learned:
                copied, fresh = copied + same * own.numel(), fresh + (not same) * own.numel()
                if not same:
                    places[f"{key}.{name.partition('.')[0]}"] = None
    return Shared(copied, fresh, tuple(places))
