"""A model small enough to train in a blink, with all that a large one has, and shards for it."""

import io
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facerefs.pipeline.storage.tar import TarWriter
from facerefs.trainers.distributed import Distributed
from facerefs.trainers.loop.settings import Data, Loop
from facerefs.trainers.loop.training_module import Networks, Phase, TrainingModule
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.train import train
from tests.trainers.face_files import face_files

SIZE_PX = 16
LOOP = Loop(
    steps=6,
    log_every=1,
    validate_every=3,
    validation_samples=3,
    grid_samples=2,
    checkpoint_every=2,
    average_half_life_images=20.0,
)
DATA = Data(batch_size=2, references=1, degradation="gfpgan", workers=0)


@dataclass(frozen=True)
class Toy:
    """A restorer and a critic, each of two convolutions; the critic's has a lazy penalty with second derivatives."""

    loop: Loop = LOOP
    data: Data = DATA
    side_px: int = SIZE_PX
    lr: float = 1e-3
    noise: float = 0.1  # chances within the loss
    penalty_every: int = 3
    critic_until: int | None = None
    generator_after: int = 0
    halved_after: tuple[int, ...] = ()
    counts_steps: bool = False  # in a buffer of the critic
    learnable: bool = True
    batch_norm: bool = True
    broken_at_call: int = 0  # of the generator's loss; 0 is never
    channels: Mapping[str, int] = field(default_factory=lambda: {"generator": 4, "critic": 4})

    @property
    def size_px(self) -> int:
        return self.side_px

    def networks(self) -> dict[str, nn.Module]:
        wide, narrow = self.channels["generator"], self.channels["critic"]
        generator = nn.Sequential(
            nn.Conv2d(6, wide, 3, padding=1),
            nn.BatchNorm2d(wide) if self.batch_norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(wide, 3, 3, padding=1),
        )
        critic = nn.Sequential(nn.Conv2d(3, narrow, 3, 2, 1), nn.SiLU(), nn.Conv2d(narrow, 1, 3, 2, 1))
        critic.register_buffer("steps", torch.zeros(()))
        return {"generator": generator, "critic": critic}

    def training_module(
        self, networks: dict[str, nn.Module], device: torch.device, embedder: str
    ) -> TrainingModule:
        generator, critic = networks["generator"], networks["critic"]
        critic[0].requires_grad_(False)  # FreezeD
        calls = 0

        def restored(batch: DeviceBatch) -> Tensor:
            assert batch.degraded is not None
            assert batch.warped is not None
            return generator(torch.cat([batch.degraded, batch.warped[:, 0]], 1))

        def generate(batch: DeviceBatch) -> Mapping[str, Tensor]:
            nonlocal calls
            calls += 1
            fake = restored(batch)
            broken = float("nan") if calls == self.broken_at_call else 1.0
            fake = fake + self.noise * torch.randn_like(fake)
            return {
                "pixels": (fake - batch.target).abs().mean() * broken,
                "adversarial": -0.1 * critic(fake).mean(),
            }

        def criticise(batch: DeviceBatch) -> Mapping[str, Tensor]:
            return {"critic": critic(restored(batch).detach()).mean() - critic(batch.target).mean()}

        def penalise(batch: DeviceBatch) -> Mapping[str, Tensor]:
            real = batch.target.clone().requires_grad_(True)
            (slope,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
            return {"penalty": slope.square().sum((1, 2, 3)).mean()}

        def count(step: int, ranks: Distributed) -> None:
            ranks.mean_(critic.steps.add_(1))
            assert critic.steps == step

        def pictures(networks: Networks, batch: DeviceBatch) -> Mapping[str, Tensor]:
            seen = torch.cat([batch.degraded, batch.warped[:, 0]], 1)
            return {"degraded": batch.degraded, "output": networks["generator"](seen), "truth": batch.target}

        def scores(networks: Networks, batch: DeviceBatch) -> Mapping[str, Tensor]:
            output = pictures(networks, batch)["output"]
            error = (output - batch.target).square().mean((1, 2, 3))
            return {
                "mse": error,
                "never": torch.full_like(error, float("nan")),
                "input": batch.degraded.mean((1, 2, 3)),
                "chance": torch.rand_like(error),
            }

        def check(batch: DeviceBatch) -> None:
            # Of reduced faces, as here of 32 px to 16 px, networks would make other embeddings than the stored ones.
            assert batch.target.shape[-1] == 32
            if not self.learnable:
                raise ValueError(f"{len(batch.target)} faces cannot be learnt from: choose others")

        return TrainingModule(
            networks=networks,
            averaged=("generator",),
            optimisers={
                "generator": torch.optim.Adam(generator.parameters(), lr=self.lr),
                "critic": torch.optim.Adam(critic.parameters(), lr=self.lr),
            },
            phases=(
                Phase("critic", "critic", ("critic",), criticise, end_step=self.critic_until),
                Phase("r1", "critic", ("critic",), penalise, self.penalty_every, force_fp32=True),
                Phase("generator", "generator", ("generator",), generate, start_step=self.generator_after),
            ),
            pictures=pictures,
            scores=scores,
            notes=("all weights are random",),
            check=check,
            halved_after=self.halved_after,
            between_steps=count if self.counts_steps else None,
        )


def write_faces(folder: Path, samples: int = 5, references: int = 1) -> Path:
    """Shards without a manifest: so many samples in each of the splits train and val."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, split in enumerate(("train", "val")):
        buffer = io.BytesIO()
        writer = TarWriter(buffer)
        for seed in range(number * samples, (number + 1) * samples):
            for ending, data in face_files(seed, references, size_px=32).items():
                writer.add(f"{seed:016x}-0.{ending}", data)
        writer.close()
        (folder / f"{split}-00000.tar").write_bytes(buffer.getvalue())
    return folder


PRESETS = {"tiny": Toy(), "paper": Toy()}


def train_toy(
    model: Toy, faces: Path, run: Path, resume: bool = False, stop_after: int | None = None
) -> list[dict[str, Any]]:
    """Train in this process; the lines of the log, without what depends on the clock."""
    steps = itertools.count(1)
    train(
        "toy",
        model,
        [str(faces)],
        run,
        resume,
        Distributed(),
        announce=lambda _line: None,
        stop=lambda: stop_after is not None and next(steps) >= stop_after,
    )
    return log_lines(run)


def log_lines(run: Path) -> list[dict[str, Any]]:
    """The lines of a log after the first, which holds notes; without what depends on the clock."""
    notes, *lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    assert notes == {"step": 0, "notes": ["all weights are random"]}
    clock = ("images_per_s", "waiting_share")
    return [{name: value for name, value in line.items() if name not in clock} for line in lines]
