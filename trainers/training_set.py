"""A finished training set: its splits, and its samples one by one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facerefs.schemas.file_names import BUILD_FILE, SAMPLES_FOLDER
from facerefs.schemas.manifest import MANIFEST_FILE
from facerefs.schemas.object_storage import AddressError, filesystem_of, is_address, sentence_of
from facerefs.schemas.shard_files import tars_in
from facerefs.trainers.stream.dataset import SampleDataset
from facerefs.trainers.stream.errors import StreamError
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.samples.decode import decode_sample
from facerefs.trainers.stream.samples.sample import Sample
from facerefs.trainers.stream.shards.cache import ShardCache
from facerefs.trainers.stream.shards.folders import folder_at
from facerefs.trainers.stream.shards.manifest import read_manifest


@dataclass(frozen=True)
class TrainingSet:
    """A training set, as described by its manifest."""

    place: str  # the folder or the address of its shards
    splits: Mapping[str, int]  # number of samples of each split that is not empty

    def __len__(self) -> int:
        """The number of samples in all splits."""
        return sum(self.splits.values())

    def samples(self, split: str | None = None) -> SampleDataset[Sample]:
        """The samples of a split (None: of all) as a sequence; a sample is decoded when it is accessed.

        A corrupt sample is logged and replaced by another one. Raises StreamError for a split without samples.
        """
        return SampleDataset(self.place, _decoded, split)


def open_set(place: str | Path) -> TrainingSet:
    """Open a training set: the folder of a build, a folder of shards, or an address that fsspec understands.

    Raises StreamError if there is no finished set.
    """
    shards_at = shards_of(place)
    shards = read_manifest(folder_at(shards_at, ShardCache()))
    if shards is None:
        raise StreamError(f"{shards_at} has no {MANIFEST_FILE}: it holds no finished training set")
    splits: dict[str, int] = {}
    for shard in shards:
        if shard.samples:
            splits[str(shard.split)] = splits.get(str(shard.split), 0) + shard.samples
    return TrainingSet(shards_at, splits)


def _shards_in_storage(address: str) -> str:
    try:
        filesystem, path = filesystem_of(address)
        is_build = filesystem.get_file_info(f"{path}/{BUILD_FILE}").is_file
    except AddressError as error:
        raise StreamError(str(error)) from None
    except OSError as error:
        raise StreamError(sentence_of(error, address)) from None
    return f"{address}/{SAMPLES_FOLDER}" if is_build else address


def shards_of(place: str | Path) -> str:
    """The place of the shards: for a build its folder `samples`, else the folder or address itself.

    Raises StreamError if object storage does not answer.
    """
    if is_address(str(place)):
        return _shards_in_storage(str(place).rstrip("/"))
    if "://" in str(place):
        return str(place)
    folder = Path(place).expanduser().absolute()
    samples = folder / "samples"
    return str(samples if samples.is_dir() and not tars_in(folder) else folder)


def _decoded(_draw: SampleRequest, files: Mapping[str, bytes]) -> Sample:
    return decode_sample(files)
