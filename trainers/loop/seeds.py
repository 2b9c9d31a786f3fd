"""Chances that need no state: torch is seeded anew for each use, by what the use is."""

import torch

from facerefs.stages.degrade.draws import derive_seed


def seed_torch(seed: int, use: str, step: int = 0, batch: int = 0, rank: int = 0) -> None:
    """Seed torch's generators, of the CPU and of all GPUs, by SHA-256 of all that is given."""
    torch.manual_seed(derive_seed(seed, f"{use}/{batch}/{rank}", step))
