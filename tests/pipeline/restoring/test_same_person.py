"""The person's face is found among several by embeddings, in the photo and in the references."""

import numpy as np

from facerefs.pipeline.restoring.same_person import match
from facerefs.schemas.arrays import Float32s

ADA, BEN, CID = np.eye(8, dtype=np.float32)[:3]


def seen(*people: Float32s, clearly: float = 1.0) -> Float32s:
    """Embeddings of faces: of a blurred one little is left of the person."""
    other = np.eye(8, dtype=np.float32)[7]
    mixed = [clearly * person + (1 - clearly) * other for person in people]
    return np.stack([one / np.linalg.norm(one) for one in mixed]).astype(np.float32)


def test_the_face_most_like_the_reference_is_taken_wherever_it_is() -> None:
    found = match(seen(BEN, CID, ADA, clearly=0.7), [seen(ADA)])
    assert (found.face, found.references) == (2, (0,))
    assert found.likeness.argmax() == 2
    assert found.similarities[0] == found.likeness[2]


def test_one_wrong_reference_of_three_does_not_win() -> None:
    found = match(seen(BEN, ADA), [seen(ADA), seen(BEN), seen(ADA)])
    assert found.face == 1
    np.testing.assert_allclose(found.similarities, [1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(found.among, [0.5, 0, 0.5], atol=1e-6)


def test_of_a_group_as_reference_the_face_of_the_other_references_is_taken() -> None:
    found = match(seen(BEN, clearly=0.6), [seen(BEN, CID, ADA), seen(ADA)])
    assert found.references == (2, 0)
    assert not found.by_target


def test_of_a_group_as_the_only_reference_the_face_most_like_the_photo_is_taken() -> None:
    found = match(seen(CID, clearly=0.6), [seen(ADA, BEN, CID)])
    assert (found.references, found.by_target) == ((2,), True)
    found = match(seen(BEN, CID, clearly=0.6), [seen(ADA, CID), seen(CID, ADA)])
    assert (found.face, found.references) == (1, (1, 0))
