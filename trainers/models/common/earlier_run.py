"""Load networks from an earlier run of the same model."""

from collections.abc import Sequence
from pathlib import Path

from facerefs.trainers.loop.checkpoint import CheckpointError, newest, read
from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER
from facerefs.trainers.loop.training_module import Networks

_WAY_OUT = "give a run of the same model and shape"


def fill_from_run(place: str, networks: Networks, names: Sequence[str]) -> str:
    """Load the named networks from a checkpoint, or the newest one of a run's folder; returns its path and step.

    Moving averages are used where the run has them. Raises CheckpointError in one sentence.
    """
    path = newest(Path(place) / CHECKPOINTS_FOLDER) if Path(place).is_dir() else Path(place)
    kept = read(path)
    for name in names:
        if name not in kept.networks:
            raise CheckpointError(f"{path}, of {kept.model}, holds no {name}: {_WAY_OUT}")
        try:
            networks[name].load_state_dict(kept.averages.get(name, kept.networks[name]))
        except (RuntimeError, LookupError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"{path}, of {kept.model}, does not fit {name} ({reason}): {_WAY_OUT}"
            ) from None
    return f"{path}, step {kept.step}"
