"""`facerefs verify`: check that a training set, in its build or copied, is complete, unchanged and consistent."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from heapq import nsmallest
from os import cpu_count
from pathlib import Path
from typing import TypeAlias

from facerefs.pipeline.build.folder import storage_at
from facerefs.pipeline.dataset.manifest import recipes_of
from facerefs.pipeline.errors import UserError
from facerefs.pipeline.storage.file_store import FileStore
from facerefs.pipeline.verify.replay import is_given, replay_fault
from facerefs.pipeline.verify.shard import Found, SamplePlace, check_file, check_shard, sample_at
from facerefs.schemas.file_names import BUILD_FILE, SAMPLES_FOLDER
from facerefs.schemas.manifest import MANIFEST_FILE, MAX_BYTES, Manifest, parse
from facerefs.schemas.shard_files import is_shard

_MAX_THREADS = 8
_LONGEST = 500
ShardDone: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True)
class Fault:
    """A fault of a file, and what to do about it."""

    file: str
    what: str
    way_out: str

    def line(self) -> str:
        """The fault as one printable line; parts of it may come from hostile files."""
        what = self.what if len(self.what) <= _LONGEST else f"{self.what[:_LONGEST]}..."
        text = f"{self.file}: {what}; {self.way_out}"
        return "".join(letter if letter.isprintable() else "?" for letter in text)


@dataclass(frozen=True)
class Checked:
    """What was found in a training set."""

    faults: list[Fault]
    people_in_two_splits: list[str]  # of published splits; of others they are faults
    replayed: int  # degraded faces that were made again
    given: int  # of those that were to be made again: published images, which nobody can make


@dataclass(frozen=True)
class SamplesFolder:
    """A folder with shards, inside its build or a copy."""

    folder: FileStore
    in_build: bool

    @property
    def way_out(self) -> str:
        """What to do about a damaged file."""
        if self.in_build:
            return "delete it, and run the same `facerefs build` again"
        return "copy it again from where this folder came from"


def samples_in(place: str | Path) -> SamplesFolder:
    """The samples folder of a build, or the given folder if it holds samples. Raises UserError if it is neither."""
    given = storage_at(place)
    within = given.folder(SAMPLES_FOLDER)
    is_build = given.exists(BUILD_FILE)
    if is_build or _holds_samples(within):
        return SamplesFolder(within, is_build)
    if _holds_samples(given):
        is_named_so = given.root.endswith(f"/{SAMPLES_FOLDER}")
        return SamplesFolder(given, is_named_so and given.folder("..").exists(BUILD_FILE))
    raise UserError(
        f"{place} holds no training set: give the folder of a build, or a copy of its folder samples"
    )


def _holds_samples(folder: FileStore) -> bool:
    return any(name == MANIFEST_FILE or is_shard(name) for name in folder.files(""))


def manifest_of(samples: SamplesFolder) -> Manifest | Fault:
    """The manifest, or the fault if it is missing or cannot be used."""
    if not samples.folder.exists(MANIFEST_FILE):
        out = "run the same `facerefs build` again" if samples.in_build else "copy it too"
        what = "is not there: the build is unfinished" if samples.in_build else "is not there"
        return Fault(MANIFEST_FILE, what, f"{out}, for without it nothing else can be checked")
    try:
        manifest = parse(samples.folder.read_small(MANIFEST_FILE, MAX_BYTES) or b"")
        recipes_of(manifest)
        return manifest
    except (ValueError, OSError) as error:
        return Fault(MANIFEST_FILE, str(error), samples.way_out)


def verify(samples: SamplesFolder, manifest: Manifest, replay: int, shard_done: ShardDone) -> Checked:
    """The faults of everything in the folder, and what else was found.

    replay: the number of degraded faces to make again and compare. shard_done: called after each shard with its number
    of samples and of faults.
    """
    faults: list[Fault] = []
    places: list[SamplePlace] = []
    identities: dict[str, str] = {}
    keys: set[str] = set()
    strays: set[str] = set()
    with ThreadPoolExecutor(min(_MAX_THREADS, cpu_count() or 1)) as threads:
        checks = threads.map(
            lambda shard: check_shard(samples.folder, shard, replay, manifest.parsers), manifest.shards
        )
        for shard, found in zip(manifest.shards, checks, strict=True):
            of_shard = [*found.faults, *_repeated(shard.name, found, keys)]
            people = _strays(shard.split, found, identities)
            if people and "splits" not in manifest.given:
                name = people[0]
                of_shard.append((shard.name, f"{name} is in the splits {identities[name]} and {shard.split}"))
            strays.update(people)
            faults += [Fault(file, what, samples.way_out) for file, what in of_shard]
            places = nsmallest(replay, [*places, *found.places], key=lambda place: place.digest)
            shard_done(shard.samples, len(of_shard))
    if not any(shard.samples for shard in manifest.shards):
        faults.append(
            Fault(MANIFEST_FILE, "names no samples", "report.html of the build says why none was made")
        )
    files = [(place, sample_at(samples.folder, place)) for place in places]
    given = sum(is_given(of_sample) for _, of_sample in files)
    faults += [*_other_files(samples, manifest), *_replayed(samples, files)]
    return Checked(faults, sorted(strays) if "splits" in manifest.given else [], len(files) - given, given)


def _repeated(shard: str, found: Found, keys: set[str]) -> Iterator[tuple[str, str]]:
    """A fault, as (file, fault), if a key of a shard is also in another one."""
    twice = sorted(found.people.keys() & keys)
    if twice:
        yield shard, f"sample {twice[0]} is in another shard too"
    keys.update(found.people)


def _strays(split: str, found: Found, identities: dict[str, str]) -> list[str]:
    """The people of a shard who are also in another split, sorted. identities: the first split of each person."""
    return sorted(name for name in set(found.people.values()) if identities.setdefault(name, split) != split)


def _other_files(samples: SamplesFolder, manifest: Manifest) -> Iterator[Fault]:
    """Faults of documents and of indexes without a tar, and shards or indexes that are not in the manifest."""
    others = (*manifest.indexes_only, *manifest.documents)
    for file in others:
        for what in check_file(samples.folder, file):
            yield Fault(file.name, what, samples.way_out)
    known = {shard.name for shard in manifest.shards} | {shard.index.name for shard in manifest.shards}
    known |= {file.name for file in others}
    for name in sorted(samples.folder.files("")):
        if name.endswith((".tar", ".parquet")) and name not in known and not name.startswith("."):
            yield Fault(name, "is not in the manifest: it is of another build", "remove it")


def _replayed(samples: SamplesFolder, files: list[tuple[SamplePlace, dict[str, bytes]]]) -> Iterator[Fault]:
    found = [(place, replay_fault(of_sample)) for place, of_sample in files]
    faults = [(place, what) for place, what in found if what is not None]
    if len(faults) == len(files) > 1:
        what = f"none of {len(files)} degraded faces comes out of its ground truth and theta again"
        yield Fault(MANIFEST_FILE, what, "is facerefs here another version than the one that made them?")
        return
    for place, what in faults:
        yield Fault(place.shard, f"sample {place.key} {what}", samples.way_out)
