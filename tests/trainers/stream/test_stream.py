"""The stream: the same global batches for any number of workers and ranks, resumed anywhere, corrupt samples too."""

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch.utils.data import DataLoader

from facerefs.trainers.stream.dataset import SampleDataset
from facerefs.trainers.stream.errors import BadSample, StreamError
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.shards.shards import open_shards
from facerefs.trainers.stream.stream import Sampling, Source, Stream
from tests.trainers.small_shards import Prepared, collate, prepare, write_set

Batch = tuple[list[str], list[int], torch.Tensor]


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    """Two sets, in each of which some samples are corrupt."""
    places = [write_set(tmp_path / "a"), write_set(tmp_path / "b", shards=1, prefix="b")]
    for place, rows in zip(places, [(2, 3, 11), (4,)], strict=True):
        shards = open_shards(place)
        for number, row in enumerate(rows):
            path = place / shards.shards[shards.shard[row]].name
            with path.open("r+b") as file:
                file.seek(int(shards.columns.offsets[row]) + (100, 512 + 20, 2 * 512 + 150)[number])
                file.write(b"\xff\x00\x81")  # a header, the pixels, the second header
    return [Source(places[0], weight=2.0), Source(places[1], split=None)]


def _stream(sources: list[Source], **settings: Any) -> Stream[Prepared, Batch]:
    return Stream(
        sources, **{"batch_size": 8, "prepare": prepare, "collate": collate, "workers": 0} | settings
    )


def _same(ours: list[Batch], theirs: list[Batch]) -> bool:
    return len(ours) == len(theirs) and all(
        one[:2] == two[:2] and torch.equal(one[2], two[2]) for one, two in zip(ours, theirs, strict=True)
    )


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # than there are cores
@pytest.mark.parametrize("sampling", get_args(Sampling))
def test_the_rest_is_the_same_whatever_the_workers_and_ranks(sources: list[Source], sampling: str) -> None:
    whole = list(_stream(sources, sampling=sampling).batches(20))
    begun = _stream(sources, sampling=sampling, workers=2 if sampling == "sample" else 0)
    assert _same(list(begun.batches(7)), whole[:7])  # more are prefetched
    state = begun.state_dict()
    assert state["samples"] == 56
    begun.close()
    cases = [(0, 1), (3, 1), (1, 2), (0, 4)] if sampling == "sample" else [(0, 2), (0, 4)]
    for workers, world_size in cases:
        shares = []
        for rank in range(world_size):
            stream = _stream(sources, sampling=sampling, workers=workers, rank=rank, world_size=world_size)
            stream.load_state_dict(state)
            shares.append(list(stream.batches(13)))
            assert stream.state_dict()["samples"] == 160
            stream.close()
        merged = [
            (
                [key for part in parts for key in part[0]],
                [position for part in parts for position in part[1]],
                torch.cat([part[2] for part in parts]),
            )
            for parts in zip(*shares, strict=True)
        ]
        assert _same(merged, whole[7:]), (workers, world_size)


def test_another_batch_size_goes_on_with_the_same_samples(sources: list[Source]) -> None:
    whole = [key for batch in _stream(sources).batches(9) for key in batch[0]]
    first = _stream(sources)
    begun = [key for batch in first.batches(3) for key in batch[0]]
    second = _stream(sources, batch_size=6)
    second.load_state_dict(first.state_dict())
    assert begun + [key for batch in second.batches(8) for key in batch[0]] == whole


def test_a_loop_that_was_broken_off_is_gone_on_with(sources: list[Source]) -> None:
    whole = list(_stream(sources).batches(6))
    stream = _stream(sources)
    begun = []
    for batch in stream:
        begun.append(batch)
        if len(begun) == 2:
            break
    assert _same(begun + list(stream.batches(4)), whole)
    assert stream.batches_out == 6
    assert stream.waited_s > 0


def test_a_state_of_another_stream_is_refused(sources: list[Source], tmp_path: Path) -> None:
    state = _stream(sources).state_dict()
    others = [
        _stream(sources, seed=1),
        _stream(sources, sampling="identity"),
        _stream(sources[:1]),
        _stream([sources[0], Source(sources[1].place, None, 2.0)]),
        _stream([Source(write_set(tmp_path / "c", samples=8), weight=2.0), sources[1]]),
    ]
    for other in others:
        with pytest.raises(StreamError, match="the state is of another stream"):
            other.load_state_dict(state)
    with pytest.raises(StreamError, match="not -1"):
        _stream(sources).load_state_dict(state | {"samples": -1})  # type: ignore[arg-type]


def test_corrupt_samples_are_reported_once_and_counted(
    sources: list[Source], caplog: pytest.LogCaptureFixture
) -> None:
    stream = _stream(sources)
    with caplog.at_level(logging.WARNING):
        batches = list(stream.batches(14))
    assert stream.epoch_length == 28
    bad = {stream.sets[source].key(row) for source, row in [(0, 2), (0, 3), (0, 11), (1, 4)]}
    assert {skip.key for skip in stream.skipped} == bad
    assert len(stream.skipped) == len(caplog.records) == 4
    assert all(skip.times >= 3 for skip in stream.skipped)
    reasons = " ".join(skip.reason for skip in stream.skipped)
    assert "there is no header at byte" in reasons
    assert "the pixels are not what they were" in reasons
    assert not {skip.key for skip in stream.skipped} & {key for batch in batches for key in batch[0]}


def test_a_set_in_which_nothing_is_whole_ends_the_stream(sources: list[Source]) -> None:
    stream = _stream(sources, prepare=_refuse)
    with pytest.raises(StreamError, match=r"33 samples in a row are corrupt.*it is ugly"):
        next(stream)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"batch_size": 8, "world_size": 3}, "batch of 8 cannot be shared equally among 3 ranks"),
        ({"rank": 2, "world_size": 2}, "there is no rank 2 among 2"),
        ({"sources": []}, "needs a source"),
        ({"sampling": "person"}, "there is no sampling 'person'"),
        ({"prefetch": 0}, "prefetch 1 or more"),
    ],
)
def test_what_cannot_be_is_said_at_the_start(
    sources: list[Source], settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(StreamError, match=sentence):
        _stream(**{"sources": sources} | settings)


def test_tars_without_an_index_have_no_people(tmp_path: Path) -> None:
    (write_set(tmp_path) / "manifest.json").unlink()
    with pytest.raises(StreamError, match="does not say who its samples show"):
        _stream([Source(tmp_path)], sampling="identity")


def _die(draw: SampleRequest, files: Mapping[str, bytes]) -> Prepared:
    if draw.position == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return prepare(draw, files)


def _sleep(draw: SampleRequest, files: Mapping[str, bytes]) -> Prepared:
    time.sleep({8: 2.2, 16: 5.0}.get(draw.position, 0.0))
    return prepare(draw, files)


def _refuse(draw: SampleRequest, files: Mapping[str, bytes]) -> Prepared:
    raise BadSample("it is ugly")


@pytest.mark.parametrize(
    ("work", "sentence", "good"),
    [
        (_die, "a worker of the stream died", 2),
        (
            _sleep,
            "no batch came for 3 s",
            2,
        ),  # the second takes longer than a poll, the third longer than the limit
        (_refuse, "^33 samples in a row are corrupt.*it is ugly", 0),
    ],
)
def test_workers_that_die_hang_or_fail_end_the_stream_with_a_sentence(
    tmp_path: Path, work: Callable[..., Prepared], sentence: str, good: int
) -> None:
    stream = _stream([Source(write_set(tmp_path))], prepare=work, workers=1, prefetch=1, timeout_s=3.0)
    begun = time.monotonic()
    assert len(list(stream.batches(good))) == good
    with pytest.raises(StreamError, match=sentence) as caught:
        next(stream)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < 60


def test_it_is_a_plain_pytorch_dataset_too(sources: list[Source], caplog: pytest.LogCaptureFixture) -> None:
    dataset = SampleDataset(sources[0].place, prepare, "train")
    assert len(dataset) == 21
    assert dataset[5].key == dataset.shards.key(5) == dataset[5 - 21].key
    stand_in = dataset[3].key
    assert stand_in not in {dataset.shards.key(row) for row in (2, 3, 11)}
    assert SampleDataset(sources[0].place, prepare)[3].key == stand_in
    loader = DataLoader(dataset, batch_size=4, shuffle=True, collate_fn=collate)
    assert sum(len(keys) for keys, _, _ in loader) == 21
    with pytest.raises(IndexError, match="no sample 21 among 21"):
        dataset[21]
    assert sum(1 for _ in dataset) == 21  # type: ignore[attr-defined]


def test_the_users_random_numbers_are_left_alone(sources: list[Source]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    next(_stream(sources))
    assert torch.equal(torch.rand(3), expected)
