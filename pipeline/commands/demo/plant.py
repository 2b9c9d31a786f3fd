"""Plant defects into a folder of synthetic people, and record the truth about every file."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from facerefs.pipeline.commands.demo.copies import KINDS, write_copy
from facerefs.pipeline.commands.demo.faults import faulty_files


@dataclass(frozen=True)
class DefectShares:
    """The shares of a set that get each kind of defect."""

    copies: float = 0.125  # of the photos get a copy; the kinds take turns
    second_names: float = 0.25  # of the copies lie in another person's folder
    wrong_labels: float = 0.05  # of the photos lie in another person's folder
    split_names: float = 0.05  # of the people have two folders
    merged_names: float = 0.05  # of the people share a folder with another person's photos


class Misnamed(StrEnum):
    """Why a photo is not in its own person's folder."""

    WRONG_LABEL = "wrong label"
    SPLIT_NAME = "split name"
    MERGED_NAME = "merged name"
    SECOND_NAME = "second name"  # a copy in another person's folder


@dataclass(frozen=True)
class PhotoTruth:
    """The truth about one file in the demo's folder."""

    path: str  # relative to the folder of photos
    person: str | None  # the person it shows; None if nobody
    label: str  # the folder that it is in
    misnamed: Misnamed | None = None
    copy_of: str | None = None  # path of the photo that it is a copy of
    copy_kind: str | None = None
    fault: str | None = None  # the reject reason that the build must give it

    @property
    def shot(self) -> str:
        """The same for a photo and its copies."""
        return self.copy_of or self.path


def plant_defects(photos: Path, seed: int, shares: DefectShares | None = None) -> list[PhotoTruth]:
    """The truth about all files, after planting copies, wrong labels, split and merged names, and faulty files.

    `photos` holds one folder per synthetic person, as `stages.synthetic_people.folder` writes them. No photo has two
    defects, so that each kind can be counted alone: copies and wrong labels are of people with a single name.
    """
    shares = shares or DefectShares()
    rng = np.random.default_rng(np.random.SeedSequence([seed, 7]))
    clean = [
        PhotoTruth(f"{person.name}/{photo.name}", person.name, person.name)
        for person in sorted(photos.iterdir())
        if person.is_dir()
        for photo in sorted(person.glob("*.jpg"))
    ]
    names = sorted({photo.label for photo in clean})
    order = [names[i] for i in rng.permutation(len(names))]
    split, merged = (_some_people(share, len(names)) for share in (shares.split_names, shares.merged_names))
    renamed = [*_split_names(clean, order[:split]), *_merged_names(clean, order[split : split + 2 * merged])]
    gone = set(order[split + merged : split + 2 * merged])
    names, plain = [name for name in names if name not in gone], set(order[split + 2 * merged :])
    own = [photo for photo in clean if photo.label in plain]
    own = [own[i] for i in rng.permutation(len(own))]
    copied = own[: round(shares.copies * len(clean))]
    chosen = own[len(copied) : len(copied) + round(shares.wrong_labels * len(clean))]
    renamed += [(photo, _under(photo, _another(photo, names, rng), Misnamed.WRONG_LABEL)) for photo in chosen]
    truth = _plant_copies(photos, copied, names, shares.second_names, rng)
    for photo, now in renamed:
        (photos / now.path).parent.mkdir(exist_ok=True)
        (photos / photo.path).rename(photos / now.path)
    changed = {photo.path for photo, _ in renamed}
    truth += [photo for photo in clean if photo.path not in changed]
    truth += [now for _, now in renamed]
    truth += _plant_faults(photos, sorted({photo.label for photo in truth}), rng)
    return sorted(truth, key=lambda photo: photo.path)


def write_truth(path: Path, truth: list[PhotoTruth]) -> None:
    """Write the truth, one JSON object per line."""
    path.write_text("".join(json.dumps(asdict(photo)) + "\n" for photo in truth))


def _some_people(share: float, people: int) -> int:
    return max(1, round(share * people)) if share else 0


def _split_names(clean: list[PhotoTruth], people: list[str]) -> Iterator[tuple[PhotoTruth, PhotoTruth]]:
    """Half of the photos of each of these people go into a second folder, as if under another name."""
    for number, person in enumerate(people, 1):
        own = [photo for photo in clean if photo.label == person]
        for photo in own[len(own) // 2 :]:
            yield photo, _under(photo, f"stage-name-{number}", Misnamed.SPLIT_NAME)


def _merged_names(clean: list[PhotoTruth], people: list[str]) -> Iterator[tuple[PhotoTruth, PhotoTruth]]:
    """All photos of the second half of these people go into the folders of the first, as if they were namesakes."""
    half = len(people) // 2
    namesake = dict(zip(people[half:], people[:half], strict=True))
    for photo in clean:
        if photo.label in namesake:
            yield photo, _under(photo, namesake[photo.label], Misnamed.MERGED_NAME)


def _another(photo: PhotoTruth, names: list[str], rng: np.random.Generator) -> str:
    others = [name for name in names if name != photo.label]
    return others[rng.integers(len(others))]


def _under(photo: PhotoTruth, label: str, why: Misnamed) -> PhotoTruth:
    name = f"{photo.label}-{Path(photo.path).name}".replace("person", "photo")
    return replace(photo, path=f"{label}/{name}", label=label, misnamed=why)


def _plant_copies(
    photos: Path, originals: list[PhotoTruth], names: list[str], second_names: float, rng: np.random.Generator
) -> list[PhotoTruth]:
    numbers = 10_000 + rng.permutation(max(90_000, len(originals)))
    under_two = set(rng.permutation(len(originals))[: round(second_names * len(originals))].tolist())
    truth = []
    for i, (original, number) in enumerate(zip(originals, numbers, strict=False)):
        kind = KINDS[i % len(KINDS)]
        label = _another(original, names, rng) if i in under_two else original.label
        path = f"{label}/img_{number}.jpg"
        (photos / path).parent.mkdir(exist_ok=True)
        write_copy(photos / original.path, photos / path, kind)
        misnamed = Misnamed.SECOND_NAME if i in under_two else None
        truth.append(PhotoTruth(path, original.person, label, misnamed, original.path, kind))
    return truth


def _plant_faults(photos: Path, people: list[str], rng: np.random.Generator) -> list[PhotoTruth]:
    example = sorted((photos / people[0]).glob("*.jpg"))[0].read_bytes()
    truth = []
    for i, (name, data, reject) in enumerate(faulty_files(example, rng)):
        label = people[i % len(people)]
        (photos / label / name).write_bytes(data)
        truth.append(PhotoTruth(f"{label}/{name}", None, label, fault=reject.value))
    return truth
