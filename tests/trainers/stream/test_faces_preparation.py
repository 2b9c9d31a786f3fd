"""What is drawn for a sample: references, mirrors, crops, degradations; all pure functions of its place."""

import json
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerefs.schemas.operations import Mirror, Resize
from facerefs.stages.degrade.recipes import RECIPES
from facerefs.trainers.stream.errors import BadSample
from facerefs.trainers.stream.order.sample_request import SampleRequest
from facerefs.trainers.stream.samples.prepare import FacePreparation, Prepared
from tests.trainers.face_files import SIZE_PX, THETA, Watched, face_files, portrait, prepared


def _identical(one: Prepared, other: Prepared) -> bool:
    return pickle.dumps(one) == pickle.dumps(other)


@settings(max_examples=30)
@given(
    position=st.integers(0, 2**50),
    choice=st.sampled_from(["best", "random", "rank"]),
    flips=st.sampled_from(["with", "alone", "never"]),
    fresh=st.booleans(),
)
def test_the_same_draw_gives_the_same_sample_in_arrays_of_its_own(
    position: int, choice: Any, flips: Any, fresh: bool
) -> None:
    chosen = {"reference_choice": choice, "flip_references": flips}
    anew = {"degradation": "gfpgan", "crop_px": 48} if fresh else {}
    one, other = prepared(position, **chosen, **anew), prepared(position, **chosen, **anew)
    assert _identical(one, other)
    assert one.position == position
    before = pickle.dumps(other)
    one.sample.target.image[:] = 0
    one.sample.target.landmarks[:] = 0
    one.sample.boxes[:] = 0
    assert pickle.dumps(other) == before
    assert _identical(prepared(position, **chosen, **anew), other)


def _chosen(preparation: dict[str, Any], draws: int = 600, stored: int = 4) -> list[tuple[int, ...]]:
    """Which references were drawn, by their pictures."""
    files = face_files(0, references=stored)
    first = {portrait(i + 1).tobytes(): i for i in range(stored)}
    samples = (
        prepared(i, files, flip_chance=0, degradation="bicubic", **preparation).sample for i in range(draws)
    )
    return [tuple(first[face.image.tobytes()] for face in sample.references) for sample in samples]


def test_the_best_references_are_the_first_ones() -> None:
    assert set(_chosen({"references": 2}, draws=20)) == {(0, 1)}


def test_random_references_are_distinct_and_equally_frequent() -> None:
    drawn = _chosen({"references": 2, "reference_choice": "random"})
    counts = Counter(drawn)
    assert len(counts) == 12  # ordered pairs of four
    assert all(one != other for one, other in counts)
    expected = 600 / 12
    assert (
        sum((count - expected) ** 2 / expected for count in counts.values()) < 31.3
    )  # chi-square, 11, 0.1 %


@pytest.mark.parametrize("weights", [(), (5.0, 3.0, 1.0)])
def test_references_by_rank_are_as_frequent_as_their_weights(weights: tuple[float, ...]) -> None:
    drawn = Counter(_chosen({"reference_choice": "rank", "rank_weights": weights}))
    shares = np.array(weights or [1, 1 / 2, 1 / 3, 1 / 4])
    expected = 600 * shares / shares.sum()
    counts = np.array([drawn[(rank,)] for rank in range(len(shares))])
    assert counts.sum() == 600  # none beyond the weights
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # chi-square, 3 degrees of freedom, 0.1 %


def test_the_second_reference_by_rank_is_drawn_from_those_left() -> None:
    drawn = Counter(_chosen({"references": 2, "reference_choice": "rank", "rank_weights": (8.0, 1.0, 1.0)}))
    # P(0 then 1) = 0.8 x 0.5, P(1 then 0) = 0.1 x 8/9, P(1 then 2) = 0.1 x 1/9
    for pair, share in {(0, 1): 0.4, (1, 0): 0.0889, (1, 2): 0.0111}.items():
        assert drawn[pair] == pytest.approx(600 * share, abs=4 * (600 * share) ** 0.5)


def _with_kinds(made: tuple[int, ...], stored: int = 4) -> dict[str, bytes]:
    """The files of a sample, some of whose references are synthesised."""
    files = dict(face_files(0, references=stored))
    record = json.loads(files["json"])
    for number in made:
        record["references"][number]["synthesis"] = {}
    return files | {"json": json.dumps(record).encode()}


def _drawn(files: dict[str, bytes], **chosen: Any) -> list[int]:
    first = {portrait(i + 1).tobytes(): i for i in range(4)}
    samples = (prepared(i, files, flip_chance=0, degradation="bicubic", **chosen).sample for i in range(400))
    return [first[sample.references[0].image.tobytes()] for sample in samples]


def test_synthesised_references_have_their_share_and_take_turns() -> None:
    drawn = Counter(_drawn(_with_kinds((1, 2, 3)), reference_choice="random", synthesised_share=0.25))
    assert 0.67 < drawn[0] / 400 < 0.83
    assert max(drawn[i] for i in (1, 2, 3)) < 2 * min(drawn[i] for i in (1, 2, 3))
    assert set(_drawn(_with_kinds((1, 2, 3)), reference_choice="random", synthesised_share=0.0)) == {0}
    assert set(_drawn(_with_kinds((0, 1)), reference_choice="best", synthesised_share=0.5)) == {0, 2}


@pytest.mark.parametrize("made", [(), (0, 1, 2, 3)])
def test_a_sample_with_references_of_one_kind_gives_these_whatever_the_share(made: tuple[int, ...]) -> None:
    for share in (0.0, 1.0):
        assert set(_drawn(_with_kinds(made), reference_choice="random", synthesised_share=share)) == set(
            range(4)
        )


def test_faces_are_mirrored_as_often_as_asked_and_references_by_their_own_chance_if_asked() -> None:
    def flips(**preparation: Any) -> Counter[tuple[bool, bool]]:
        files = face_files()
        samples = (prepared(i, files, degradation="bicubic", **preparation).sample for i in range(400))
        return Counter(
            (
                not np.array_equal(sample.target.image, portrait(0)),
                not np.array_equal(sample.references[0].image, portrait(1)),
            )
            for sample in samples
        )

    together = flips(flip_chance=0.25)
    assert set(together) == {(False, False), (True, True)}
    assert 65 < together[(True, True)] < 135
    apart = flips(flip_references="alone")
    assert all(65 < apart[pair] < 135 for pair in [(a, b) for a in (False, True) for b in (False, True)])
    assert set(flips(flip_references="never")) == {(False, False), (True, False)}


def test_a_flipped_stored_face_has_a_mirrored_theta_and_a_fresh_one_has_not() -> None:
    assert prepared(flip_chance=1).sample.theta == (Mirror(), *THETA, Mirror())
    fresh = prepared(flip_chance=1, degradation="gfpgan").sample
    assert Mirror() not in fresh.theta
    assert fresh.degraded is None


def test_a_fresh_theta_is_new_at_every_position_and_as_large_as_the_crop() -> None:
    settings_ = {"degradation": RECIPES["bicubic"], "crop_px": 32}
    thetas = [prepared(i, **settings_).sample.theta for i in range(30)]
    assert thetas == [prepared(i, **settings_).sample.theta for i in range(30)]
    assert {op.out_w for theta in thetas for op in theta if isinstance(op, Resize)} <= {4, 2, 1}
    assert len({prepared(i, degradation="gfpgan").sample.theta for i in range(30)}) == 30


def test_the_stored_degraded_face_is_not_read_for_a_fresh_degradation() -> None:
    files = Watched(face_files())
    prepared(0, files, degradation="gfpgan")
    assert sorted(files.read) == ["gt.png", "json", "ref0.webp"]


def test_faces_are_reduced_before_they_are_cropped_and_degraded() -> None:
    small = prepared(3, degradation="bicubic", reduce_px=32, crop_px=24).sample
    assert small.target.image.shape == (24, 24, 3)
    assert all(face.image.shape == (24, 24, 3) for face in small.references)
    whole = prepared(3, degradation="bicubic", reduce_px=32).sample
    (resize,) = (op for op in whole.theta if isinstance(op, Resize))
    assert resize.out_w < 32


def test_crops_lie_anywhere_in_the_face() -> None:
    windows = {
        prepared(i, flip_chance=0, degradation="bicubic", crop_px=61).sample.target.image.tobytes()
        for i in range(400)
    }
    places = {portrait(0)[y : y + 61, x : x + 61].tobytes() for y in range(4) for x in range(4)}
    assert windows == places


def test_a_sample_with_too_few_references_is_padded_or_refused() -> None:
    assert len(prepared(files=face_files(0, references=1), references=3).sample.references) == 1
    assert prepared(files=face_files(0, references=0)).sample.references == ()
    with pytest.raises(BadSample, match="the sample has 1 references where 3 are required"):
        prepared(files=face_files(0, references=1), references=3, require_references=True)


@pytest.mark.parametrize(
    ("settings_", "sentence"),
    [
        ({"crop_px": 256}, "crop_px needs a fresh degradation"),
        ({"crop_px": 600, "degradation": "gfpgan"}, "crop_px is from 1 to size_px 512, not 600"),
        ({"reduce_px": 256}, "reduce_px needs a fresh degradation"),
        ({"reduce_px": 600, "degradation": "gfpgan"}, "reduce_px is from 1 to size_px 512, not 600"),
        (
            {"crop_px": 65, "reduce_px": 64, "degradation": "gfpgan"},
            "crop_px is from 1 to reduce_px 64, not 65",
        ),
        ({"references": -1}, "references is from 0 to 64, not -1"),
        ({"synthesised_share": 1.5}, "synthesised_share is from 0 to 1, not 1.5"),
        ({"reference_choice": "worst"}, "reference_choice is best, random or rank, not 'worst'"),
        ({"rank_weights": (1.0,)}, "rank_weights need reference_choice rank, not best"),
        ({"rank_weights": (1.0, 0.0), "reference_choice": "rank"}, "rank_weights are positive"),
        ({"flip_chance": 1.5}, "flip_chance is from 0 to 1, not 1.5"),
        ({"flip_references": "sometimes"}, "flip_references is with, alone or never, not 'sometimes'"),
        ({"degradation": "melt"}, "degradation is one of stored, .*, or a recipe, not 'melt'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        FacePreparation(**settings_)


def test_a_preparation_can_be_sent_to_a_worker() -> None:
    preparation = FacePreparation(degradation=RECIPES["gfpgan"], size_px=SIZE_PX)
    sent = pickle.loads(pickle.dumps(preparation))
    assert _identical(
        sent(SampleRequest(3, epoch=0, source=0, row=0), face_files()),
        preparation(SampleRequest(3, epoch=0, source=0, row=0), face_files()),
    )
