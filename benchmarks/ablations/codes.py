"""Are codes nearer to the clean face than what they replace? The mechanism of ENTED's dictionary and RDFR's codebooks.

    python -m benchmarks.ablations SET --models ented --seeds 3
    python -m benchmarks.ablations.codes SET SET/runs/ablations/ented/as_it_is/seed-*

The paper's own table shows a gain by ENTED's dictionary in NIQE alone (LPIPS and FID get worse with it), and small
faces have no NIQE. So this tests the reason that the paper gives: codes replace corrupted features by those of clean
faces. With E, the encoder's features, and q, the nearest code: is q(E(degraded)) nearer to E(clean) than E(degraded)
is? Distances are squared and in units of the variance of E(clean), so 1 is as far as the mean of all features. Each
run, such as one of each seed, is a pair; interval and verdict are those of `seeds.py`.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.ablations.seeds import paired, verdict
from benchmarks.paired import OUT
from facerefs.trainers.check import probe
from facerefs.trainers.loop.checkpoint import CheckpointError
from facerefs.trainers.loop.training_module import Networks
from facerefs.trainers.loop.validation import draw_fixed_set
from facerefs.trainers.models.common.restorer_input import restorer_input
from facerefs.trainers.models.ented import EntedNetwork
from facerefs.trainers.models.rdfr import RdfrNetwork
from facerefs.trainers.models.run import Run, load_run
from facerefs.trainers.networks.dictionary import Dictionary
from facerefs.trainers.networks.quantise import nearest
from facerefs.trainers.stream.batches.device_batch import DeviceBatch
from facerefs.trainers.stream.samples.prepare import FacePreparation

_BATCH = 8


@dataclass(frozen=True)
class Codebook:
    """Codes (K, C), and the features (B, C, h, w) of images that they replace."""

    codes: Tensor
    features: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Distances:
    """Mean squared distances to E(clean), in units of its variance, and the share of places where the code is nearer.

    degraded: of E(degraded). code: of its code. clean_code: of the clean face's own code, the least that codes allow.
    codes: their number.
    """

    degraded: float
    code: float
    clean_code: float
    nearer: float
    codes: int


def main() -> None:
    """Print the distances of each run and their intervals, and write benchmarks/out/ablations_codes.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablations.codes", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("data", type=Path, metavar="SET")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--faces", type=int, default=10_000, help="at most so many held-out ones")
    words = parser.parse_args()
    samples = words.data / "samples"
    place = samples if samples.is_dir() else words.data
    found: dict[str, list[Distances]] = {}
    for folder in words.runs:
        try:
            run = load_run(folder, torch.device("cpu"))
            measured = distances_of(run, str(place), words.faces)
        except (CheckpointError, ValueError) as error:
            print(f"codes: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        for name, one in measured.items():
            print(
                f"{folder}, {name}: E(degraded) {one.degraded:.3f} from E(clean), its code {one.code:.3f}, the clean "
                f"face's code {one.clean_code:.3f}; the code is nearer at {one.nearer:.0%} of places"
            )
            found.setdefault(f"{run.name}, {name}, {one.codes} codes, {run.step} steps", []).append(one)
    lines = [_line(case, measured) for case, measured in found.items()]
    OUT.mkdir(exist_ok=True)
    (OUT / "ablations_codes.json").write_text(json.dumps(lines, indent=1) + "\n")


def distances_of(run: Run, place: str, faces: int) -> dict[str, Distances]:
    """The distances for each codebook of a run, over held-out faces. Raises ValueError for a run without codes."""
    books = codebooks_of(run.networks)
    parts: dict[str, list[Tensor]] = {name: [] for name in books}
    with torch.no_grad():
        for batch in _held_out(run, place, faces):
            for name, book in books.items():
                images = (batch.target, restorer_input(batch).degraded)
                clean, degraded = (book.features(one).permute(0, 2, 3, 1).flatten(0, 2) for one in images)
                parts[name].append(torch.stack([clean, degraded]))
    found = {}
    for name, book in books.items():
        clean, degraded = torch.cat(parts[name], 1)
        found[name] = distances(clean, degraded, book.codes)
    return found


def distances(clean: Tensor, degraded: Tensor, codes: Tensor) -> Distances:
    """The distances of features (N, C) of the same places in clean and degraded faces, with codes (K, C)."""
    variance = (clean - clean.mean(0)).square().sum(1).mean()
    kept = (degraded - clean).square().sum(1)
    coded = (codes[nearest(degraded, codes)] - clean).square().sum(1)
    own = (codes[nearest(clean, codes)] - clean).square().sum(1)
    return Distances(
        degraded=float(kept.mean() / variance),
        code=float(coded.mean() / variance),
        clean_code=float(own.mean() / variance),
        nearer=float((coded < kept).float().mean()),
        codes=len(codes),
    )


def codebooks_of(networks: Networks) -> dict[str, Codebook]:
    """The codebooks of a model by name. Raises ValueError, in one sentence, if there is none in use."""
    network, dictionary = networks["generator"], networks.get("dictionary")
    if isinstance(network, EntedNetwork) and isinstance(dictionary, Dictionary):
        if not dictionary.used:
            raise ValueError("the dictionary is not in use yet: train beyond codes.warm_up_steps")
        return {"dictionary": Codebook(dictionary.codes, network.coded)}
    if isinstance(network, RdfrNetwork) and network.codebooks:

        def features_at(side: int) -> Callable[[Tensor], Tensor]:
            def features(images: Tensor) -> Tensor:
                found: Tensor = network.encoder(images)[side]
                return found

            return features

        return {
            f"codebook of {side} px": Codebook(book.codes, features_at(side))
            for side, book in network.codebooks.items()
        }
    raise ValueError("the run has no codes: give one of ented or rdfr, trained with them")


def _held_out(run: Run, place: str, faces: int) -> Iterator[DeviceBatch]:
    """The faces on which the run was validated."""
    model, side_px = run.model, probe(place, "train").side_px
    preparation = FacePreparation(
        seed=model.loop.seed,
        size_px=side_px,
        references=model.data.references,
        require_references=model.data.references > 0,
        flip_chance=0.0,
        reduce_px=None if model.size_px == side_px else model.size_px,
        degradation=model.data.degradation,
    )
    return draw_fixed_set(place, "val", preparation, faces, _BATCH, torch.device("cpu")).ready()


def _line(case: str, measured: Sequence[Distances]) -> Mapping[str, Any]:
    peer, ours = [one.degraded for one in measured], [one.code for one in measured]
    interval = paired(ours, peer)
    says = verdict(interval, lower_is_better=True)
    base = statistics.fmean(peer)
    nearer = statistics.fmean(one.nearer for one in measured)
    print(
        f"{case}, {interval.seeds} runs: the code's distance less that of E(degraded) {interval.mean:+.3f} "
        f"({interval.low:+.3f} to {interval.high:+.3f}), nearer at {nearer:.0%} of places: {says}"
    )
    finite = interval.seeds > 1
    return {
        "case": f"{case}, {interval.seeds} runs, code against E(degraded): {says}",
        "ours": statistics.fmean(ours),
        "peer": base,
        "unit": "squared distance to E(clean), in its variance",
        "ratio": statistics.fmean(ours) / base,
        "low": 1 + interval.low / base if finite else None,
        "high": 1 + interval.high / base if finite else None,
    }


if __name__ == "__main__":
    main()
