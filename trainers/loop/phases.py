"""Which parameters a phase moves: those of its networks that the model has not frozen; all others rest meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from facerefs.trainers.loop.training_module import Networks, Phase


class Trainable:
    """What of the networks learns at all, as the model left it when training begins."""

    def __init__(self, networks: Networks) -> None:
        self._of = {name: _learning(network) for name, network in networks.items()}

    def of(self, phase: Phase) -> list[nn.Parameter]:
        """The parameters that a phase moves, in the order of its networks."""
        return [parameter for name in phase.networks for parameter in self._of[name]]

    @contextmanager
    def only(self, phase: Phase) -> Iterator[None]:
        """Within, only the phase's parameters ask for gradients; afterwards all do that did at the beginning."""
        self._ask(phase.networks)
        try:
            yield
        finally:
            self._ask(tuple(self._of))

    def _ask(self, names: tuple[str, ...]) -> None:
        for name, parameters in self._of.items():
            for parameter in parameters:
                parameter.requires_grad_(name in names)


def _learning(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
