"""Random numbers without stored state: torch is seeded anew for each use, from the name of the use and the step."""

import torch

from facerefs.stages.degrade.draws import derive_seed


def seed_torch(seed: int, use: str, step: int = 0, batch: int = 0, rank: int = 0) -> None:
    """Seed torch's generators of the CPU and all GPUs with a SHA-256 of all arguments."""
    torch.manual_seed(derive_seed(seed, f"{use}/{batch}/{rank}", step))
