"""Landmarks on degraded faces: a trained run, dlib and FAN on the same images, by degradation strength.

`python -m benchmarks.landmarks RUN SHARDS [--split val] [--draws 4] [--recipe refine] [--moved] [--truth TRUTH]`.

All see the same degraded faces, of the size that is stored; dlib and FAN are also told where the face is. TRUTH says
where the points really are: truth.jsonl of rendered people, or a folder with PHOTO.txt of 68 lines. Without it truth
is what dlib or FAN once found on the clean photo, as in the shards, and that flatters the same engine.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from benchmarks.landmark_faces import Faces, degraded_faces, moved
from benchmarks.paired import OUT
from facerefs.stages.engines.engine import Landmarker as Engine
from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.load import load_landmarker
from facerefs.trainers.metrics.nme import BINS, by_strength, nme
from facerefs.trainers.models.landmarks import Moves, find_landmarks
from facerefs.trainers.models.model import LandmarkModel
from facerefs.trainers.models.run import load_run

Find = Callable[[Faces], Tensor]  # -> (B, 68, 2)


@dataclass(frozen=True)
class Row:
    """Mean NME of a detector in % of the distance between the eyes, and the number of faces, by strength."""

    detector: str
    nme: Mapping[str, float | None]
    faces: Mapping[str, int]


@torch.no_grad()
def main() -> None:
    """Print the table, and write benchmarks/out/landmarks.json."""
    asked = _arguments()
    torch.set_num_threads(1)
    detectors = _detectors(asked)
    errors: dict[str, list[Tensor]] = {name: [] for name in detectors}
    strengths = []
    for faces in _faces(asked):
        strengths.append(faces.strength)
        for name, find in detectors.items():
            errors[name].append(nme(find(faces), faces.truth))
    rows = [_row(name, torch.cat(some), torch.cat(strengths)) for name, some in errors.items()]
    columns = (*BINS, "all")
    _say(_line("NME, %", columns))
    for row in rows:
        _say(_line(row.detector, [_percent(row.nme[column]) for column in columns]))
    _say(_line("faces", [str(rows[0].faces[column]) for column in columns]))
    OUT.mkdir(exist_ok=True)
    result = {
        "asked": {name: str(value) for name, value in vars(asked).items()},
        "rows": list(map(asdict, rows)),
    }
    (OUT / "landmarks.json").write_text(json.dumps(result, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--draws", type=int, default=4, help="degradations of each face")
    parser.add_argument("--recipe", default="refine")
    parser.add_argument(
        "--moved", action="store_true", help="shift, scale and turn the faces, as in training"
    )
    parser.add_argument("--truth", type=Path)
    return parser.parse_args()


def _faces(asked: argparse.Namespace) -> Iterator[Faces]:
    for draw in range(asked.draws):
        for faces in degraded_faces(asked.shards, asked.split, asked.recipe, draw, asked.truth):
            yield moved(faces, Moves(), draw) if asked.moved else faces


def _detectors(asked: argparse.Namespace) -> dict[str, Find]:
    run = load_run(asked.run, torch.device("cpu"))
    model, networks = run.model, run.networks
    if not isinstance(model, LandmarkModel):
        raise SystemExit(f"{asked.run} is no run of `facerefs train landmarks`")
    seen = degraded_faces(asked.shards, "train", asked.recipe, 0)
    mean = torch.cat([faces.stored for faces in seen]).mean(0)
    detectors: dict[str, Find] = {
        f"ours, {model.size_px} px": lambda faces: find_landmarks(model, networks, faces.degraded),
        "mean of the training faces": lambda faces: mean.expand_as(faces.truth),
    }
    if asked.truth is not None:
        detectors["stored in the shards"] = lambda faces: faces.stored
    engines: tuple[Literal["dlib"], Literal["fan"]] = ("dlib", "fan")
    for name in engines:
        try:
            engine = load_landmarker(name, None, "cpu")
        except MissingWeights as error:
            _say(f"{name}: not computed: {error}")
            continue
        detectors[f"{name}, box known"] = partial(_by_engine, engine, False)
        detectors[f"{name}, box known, clean"] = partial(_by_engine, engine, True)
    return detectors


def _by_engine(engine: Engine, clean: bool, faces: Faces) -> Tensor:
    images = ((faces.clean if clean else faces.degraded).clamp(-1, 1) + 1) * 127.5
    pixels = images.round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    found = [engine.landmarks(image, box.numpy()) for image, box in zip(pixels, faces.boxes, strict=True)]
    return torch.from_numpy(np.stack(found))


def _row(name: str, errors: Tensor, strengths: Tensor) -> Row:
    columns = {**by_strength(errors, strengths), "all": errors}
    there = {column: values[~values.isnan()] for column, values in columns.items()}
    return Row(
        name,
        {column: float(values.mean()) * 100 if len(values) else None for column, values in there.items()},
        {column: len(values) for column, values in there.items()},
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:28}" + "".join(f"{cell:>10}" for cell in cells)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
