"""Networks that go on from those of an earlier run of the same model."""

from collections.abc import Sequence
from pathlib import Path

from trainers.loop.checkpoint import CheckpointError, newest, read
from trainers.loop.record import CHECKPOINTS_FOLDER
from trainers.loop.trainee import Networks


def fill_from_run(place: str, networks: Networks, names: Sequence[str]) -> str:
    """Fill these of the networks from a run (its folder: the newest checkpoint) or a checkpoint; returns which it was.

    Averages are taken where the run kept them. Raises CheckpointError in one sentence.
    """
    path = newest(Path(place) / CHECKPOINTS_FOLDER) if Path(place).is_dir() else Path(place)
    kept = read(path)
    try:
        for name in names:
            networks[name].load_state_dict(kept.averages.get(name, kept.networks[name]))
    except (RuntimeError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path}, of {kept.model}, does not fit {names[0]} ({reason}): give a run of the same model and shape"
        ) from None
    return f"{path}, step {kept.step}"
