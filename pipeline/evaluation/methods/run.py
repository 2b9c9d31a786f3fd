"""A training run as a method: its networks restore the degraded faces of the set, with the set's references."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.judges.cache import digest_of, sha256_of
from facerefs.pipeline.evaluation.methods.method import Kind, Outputs
from facerefs.pipeline.evaluation.samples import EvaluationBatch, as_saved
from facerefs.pipeline.evaluation.settings import AUTO
from facerefs.stages.engines.engine import MissingWeights
from facerefs.trainers.geometry.points import PointsSource
from facerefs.trainers.identity.embedder import IdentityEmbedder, load_embedder
from facerefs.trainers.loop.checkpoint import CheckpointError, checkpoints, newest
from facerefs.trainers.loop.run_recorder import CHECKPOINTS_FOLDER
from facerefs.trainers.loop.seeds import seed_torch
from facerefs.trainers.models.common.restorer_input import restorer_input, with_landmarks
from facerefs.trainers.models.model import MaskingRestorer, Restorer, RestorerInput, WarpingRestorer
from facerefs.trainers.models.run import Run, load_finder, load_run

_VERSION = "1"  # of how a run is given its input: raise it if outputs change


@dataclass(frozen=True, eq=False)
class RunMethod:
    """A restorer from a training run. sha256: of its checkpoint. embedder: its own, if not that of the set.

    finder: of landmarks of degraded faces; None: those of the batch. outputs_folder: where outputs are kept.
    """

    name: str
    folder: Path
    trained: Run
    model: Restorer
    sha256: str
    embedder: IdentityEmbedder | None
    finder: Callable[[Tensor], Tensor] | None
    landmarks: str
    seed: int
    device: torch.device
    outputs_folder: Path
    mask_note: str = ""
    kind: Kind = "run"

    @property
    def path(self) -> str:
        """The folder of the run."""
        return str(self.folder)

    @property
    def references(self) -> int:
        """How many references it takes."""
        return self.model.data.references

    @property
    def notes(self) -> tuple[str, ...]:
        """Which model, which checkpoint, and where its landmarks and masks come from."""
        wanted = self.model.data.references
        references = "blind" if not wanted else f"{wanted} reference{'s' if wanted > 1 else ''}"
        notes = [
            f"{self.name}: {self.trained.name}, step {self.trained.step:,}, {references}, SHA-256 {self.sha256[:16]}"
        ]
        if isinstance(self.model, WarpingRestorer):
            notes.append(f"{self.name}: landmarks of degraded faces: {self.landmarks}")
        if self.mask_note:
            notes.append(f"{self.name}: {self.mask_note}")
        return tuple(notes)

    @torch.no_grad()
    def outputs(self, batch: EvaluationBatch) -> Outputs:
        """The restored faces; none for a sample with fewer references than the model takes."""
        present = (batch.seen.reference_count >= self.model.data.references).cpu()
        seen = self._input(batch)
        paths = [self._file(seen, number, facts.key) for number, facts in enumerate(batch.facts)]
        known = {number: image for number, path in enumerate(paths) if (image := _read(path)) is not None}
        wanted = [number for number in range(len(paths)) if bool(present[number]) and number not in known]
        if wanted:
            made = self._restore(batch, seen, wanted)
            for number, image in zip(wanted, made, strict=True):
                _write(image, paths[number])
                known[number] = image
        side = self.model.size_px
        images = torch.zeros(len(paths), 3, side, side, dtype=torch.uint8)
        for number, image in known.items():
            images[number] = image if bool(present[number]) else 0
        return Outputs(images, present)

    def _restore(self, batch: EvaluationBatch, seen: RestorerInput, wanted: list[int]) -> Tensor:
        """The restored faces of some samples of a batch; those of a stochastic model do not depend on the others."""
        networks = self.trained.networks
        if not self.model.stochastic:
            return as_saved(self.model.restore(networks, _chosen(seen, wanted)))
        made = []
        for number in wanted:
            seed_torch(self.seed, f"evaluate {batch.facts[number].key}")
            made.append(as_saved(self.model.restore(networks, _chosen(seen, [number]))))
        return torch.cat(made)

    def _input(self, batch: EvaluationBatch) -> RestorerInput:
        """The batch as this model takes it: its number of references, its landmarks, its embedder."""
        seen = _first_references(restorer_input(batch.seen), self.model.data.references)
        if self.finder is not None:
            seen = with_landmarks(seen, self.finder(seen.degraded).to(seen.landmarks))
        if self.embedder is None or not seen.references.shape[1]:
            return seen
        flat = self.embedder(seen.references.flatten(0, 1), seen.reference_landmarks.flatten(0, 1))
        return replace(seen, reference_embeddings=flat.view(*seen.references.shape[:2], -1))

    def _file(self, seen: RestorerInput, number: int, key: str) -> Path:
        """Where the output of a sample is kept: named by all that it depends on."""
        parts = [part[number] for part in vars(seen).values() if isinstance(part, Tensor)]
        drawn = f"{self.seed} {key}" if self.model.stochastic else ""
        digest = digest_of(self.sha256, _VERSION, self.device.type, drawn, *parts)
        return self.outputs_folder / digest[:2] / f"{digest}.png"


def open_run(
    name: str,
    folder: Path,
    size_px: int,
    stored_embedder: str,
    seen_landmarks: str,
    points: PointsSource,
    seed: int,
    device: torch.device,
    outputs_folder: Path,
) -> RunMethod:
    """A run as a method. stored_embedder: of the set. points: of the batches. Raises UserError if it does not fit."""
    try:
        trained = load_run(folder, device)
        model = trained.model
        if not isinstance(model, Restorer):
            raise UserError(
                f"a run of {trained.name} restores no faces: `facerefs models` lists those that do"
            )
        if model.size_px != size_px:
            raise UserError(
                f"{folder} restores faces of {model.size_px} px, and those of the set are judged at {size_px} px: add "
                f"--size {model.size_px}, which reduces all faces to that side"
            )
        embedder = None
        if model.identity and model.data.references:
            embedder = load_embedder(model.identity, device)
            embedder = None if embedder.name == stored_embedder else embedder
        found = _finder(model, seen_landmarks, device)
        masks = model.mask_note(device) if isinstance(model, MaskingRestorer) else ""
        checkpoint = newest(folder / CHECKPOINTS_FOLDER)
        sha256 = sha256_of(checkpoint)
    except (CheckpointError, MissingWeights) as error:
        raise UserError(str(error)) from None
    return RunMethod(
        name=name,
        folder=folder,
        trained=trained,
        model=model,
        sha256=sha256,
        embedder=embedder,
        finder=None if found is None else found[1],
        landmarks=points.name if found is None else f"detector, the run {found[0]}",
        seed=seed,
        device=device,
        outputs_folder=outputs_folder,
        mask_note=masks,
    )


def _finder(
    model: Restorer, seen_landmarks: str, device: torch.device
) -> tuple[Path, Callable[[Tensor], Tensor]] | None:
    """The detector that the run was trained with, if it is to be used and is still there."""
    if seen_landmarks != AUTO or not isinstance(model, WarpingRestorer) or model.landmark_run is None:
        return None
    folder = Path(model.landmark_run)
    return (folder, load_finder(folder, device)) if checkpoints(folder / CHECKPOINTS_FOLDER) else None


def _first_references(seen: RestorerInput, count: int) -> RestorerInput:
    of_references = (
        "references",
        "reference_embeddings",
        "reference_landmarks",
        "reference_masks",
        "warped",
        "valid",
    )
    some = {name: getattr(seen, name) for name in of_references}
    return replace(seen, **{name: part[:, :count] for name, part in some.items() if part is not None})


def _chosen(seen: RestorerInput, numbers: list[int]) -> RestorerInput:
    parts = {name: part[numbers] for name, part in vars(seen).items() if isinstance(part, Tensor)}
    return replace(seen, **parts)


def _read(path: Path) -> Tensor | None:
    """A kept output; None if there is none. A damaged one is made again."""
    if not path.is_file():
        return None
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    return None if pixels is None else torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def _write(image: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).flip(-1).numpy())
    coded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    part = path.with_suffix(".part")
    part.write_bytes(coded.tobytes())
    part.replace(path)
