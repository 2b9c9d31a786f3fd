"""The kinds of pairs of faces, against the rule written out for one pair."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facerefs.stages.analyse import Analyse
from facerefs.stages.copies.copy_augmentations import AUGMENTATIONS, augmented_jpeg
from facerefs.stages.copies.copy_rule import COPY, NEITHER, SESSION, UNSURE, CopyRule
from facerefs.stages.copies.face_features import FaceFeatures
from facerefs.stages.engines.calibration import CALIBRATIONS

RULE = CopyRule(6, 12, 0.008, copy_similarity=0.9, same_shot_similarity=0.97, session_similarity=0.92)
PAIRS = st.lists(
    st.tuples(
        st.sampled_from([0.5, 0.89, 0.9, 0.91, 0.92, 0.95, 0.97, 0.99, 1.0]),
        st.sampled_from([0, 3, 6, 7, 12, 13, 30]),
        st.sampled_from([0.0, 0.004, 0.008, 0.0081, 0.02]),
    ),
    min_size=1,
    max_size=20,
)


def kind(cosine: float, bits: int, points: float) -> int:
    if cosine >= 0.9 and bits <= 6:
        return COPY
    if cosine >= 0.97 and (bits <= 12 or points <= 0.008):
        return COPY
    if cosine >= 0.9 and points <= 0.008:
        return UNSURE
    return SESSION if cosine >= 0.92 else NEITHER


def columns(pairs: list[tuple[float, int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cosine, bits, points = zip(*pairs, strict=True)
    return np.array(cosine), np.array(bits), np.array(points)


@given(pairs=PAIRS)
def test_the_kind_of_each_pair_is_that_of_the_rule_written_out(pairs: list[tuple[float, int, float]]) -> None:
    assert RULE.kinds(*columns(pairs)).tolist() == [kind(*pair) for pair in pairs]


@given(pairs=PAIRS)
def test_certainty_is_between_0_and_1_and_at_most_a_half_for_unsure_pairs(
    pairs: list[tuple[float, int, float]],
) -> None:
    kinds = RULE.kinds(*columns(pairs))
    certainty = RULE.certainty(kinds, *columns(pairs))
    assert certainty.dtype == np.float32
    assert ((certainty >= 0) & (certainty <= 1)).all()
    assert (certainty[kinds == UNSURE] <= 0.5).all()


def certainty_of(*pair: float) -> float:
    evidence = columns([pair])
    return float(RULE.certainty(RULE.kinds(*evidence), *evidence)[0])


def test_a_clear_copy_is_certain_and_one_on_the_edge_is_not() -> None:
    assert certainty_of(0.99, 2, 0.003) == 1
    assert certainty_of(0.9, 0, 0.02) == 0  # with a slightly lower cosine it is no copy
    assert certainty_of(0.925, 0, 0.02) == pytest.approx(0.5)
    assert certainty_of(0.99, 6, 0.02) == pytest.approx(2 / 7, abs=0.8)
    assert certainty_of(0.94, 6, 0.02) == pytest.approx(2 / 7)  # bits decide
    assert certainty_of(0.95, 30, 0.002) == 0.5  # unsure, as clearly as can be


def test_the_reason_holds_the_figures_and_the_limits_that_decided() -> None:
    evidence = columns([(0.95, 4, 0.0031), (0.98, 10, 0.02), (0.93, 20, 0.004)])
    one, crop, unsure = RULE.why(RULE.kinds(*evidence), *evidence)
    assert one == (
        "crop hashes 4 bits apart (up to 6 is near), landmarks 0.0031 (up to 0.008 is near), "
        "cosine 0.950 (from 0.900)"
    )
    assert "10 bits apart (up to 12 is near)" in crop
    assert "cosine 0.980 (from 0.970)" in crop
    assert "cosine 0.930 (from 0.900)" in unsure


def test_the_cosines_are_the_embedders_unless_given() -> None:
    known = CALIBRATIONS["dlib-resnet-128"]
    rule = CopyRule(same_shot_similarity=0.999).calibrated("dlib-resnet-128")
    assert (rule.copy_similarity, rule.same_shot_similarity, rule.session_similarity) == (
        known.copy,
        0.999,
        known.session,
    )
    assert rule.least_similarity == known.copy
    assert RULE.calibrated("nobody's") is RULE
    with pytest.raises(ValueError, match="nobody's"):
        CopyRule(copy_similarity=0.9).calibrated("nobody's")
    with pytest.raises(ValueError, match="calibrated"):
        CopyRule().kinds(*columns([(1.0, 0, 0.0)]))


def test_shapes_are_kept() -> None:
    assert RULE.kinds(np.ones((2, 3)), np.zeros((2, 3), np.int64), np.zeros((2, 3))).shape == (2, 3)


SAID = pa.list_(pa.struct([("label", pa.string()), ("box", pa.list_(pa.float32(), 4))]))


def analysed(analyse: Analyse, photos: dict[str, bytes]) -> pa.Table:
    """The first face of each photo, by key."""
    columns = {
        "id": [hashlib.sha256(data).hexdigest() for data in photos.values()],
        "key": list(photos),
        "label": [None] * len(photos),
        "said": pa.array([[]] * len(photos), SAID),
        "photo": pa.array(photos.values(), pa.large_binary()),
    }
    faces = analyse.process(pa.table(columns))
    return faces.take([faces["key"].to_pylist().index(key) for key in photos])


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("embedder", ["dlib", "insightface"])
def test_copies_of_real_photos_are_found_and_no_second_shot(
    embedder: str, shared_faces: Path, shared_models: Path
) -> None:
    """A quarter of the photos that the calibration was measured on, each with its eight edits."""
    weights = str(shared_models / "arcface_mobilefacenet_128d.onnx") if embedder == "insightface" else None
    analyse = Analyse(embedder=embedder, embedder_weights=weights, niqe=False)
    paths = sorted((shared_faces / "aligned512").glob("*/*.png"))[::4]
    photos = {str(path): path.read_bytes() for path in paths}
    copies = {
        f"{path} {edit}": augmented_jpeg(Image.open(path).convert("RGB"), edit)
        for path in paths
        for edit in AUGMENTATIONS
    }
    faces = analysed(analyse, photos | copies)
    features, rule = FaceFeatures.of(faces), CopyRule().calibrated(faces["embedder"][0].as_py())
    number, edits = len(photos), len(AUGMENTATIONS)
    original = np.repeat(np.arange(number), edits)
    found = rule.kinds(*features.pairs(original, np.arange(number, number * (1 + edits))).evidence)
    assert (found == COPY).mean() >= 0.99
    photo = np.concatenate([np.arange(number), original])
    a, b = np.triu_indices(len(photo), 1)
    a, b = a[photo[a] != photo[b]], b[photo[a] != photo[b]]
    assert not (rule.kinds(*features.pairs(a, b).evidence) == COPY).any()
