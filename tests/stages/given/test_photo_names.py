"""Which photo of a source a name in a published list means."""

import pytest

from facerefs.stages.given.photo_names import PhotoNames

KEYS = ("00000/00012.png", "00001/00013.webp", "Ann/001.jpg", "Bea/001.jpg", "Ann/002.v1.jpg", "e\u0301.png")


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("00000/00012.png", ["00000/00012.png"]),
        ("00012.png", ["00000/00012.png"]),
        ("00012", ["00000/00012.png"]),
        ("images512x512/00000/00012.png", ["00000/00012.png"]),
        ("./00013.png", ["00001/00013.webp"]),
        ("Bea\\001.jpg", ["Bea/001.jpg"]),
        ("001.jpg", ["Ann/001.jpg", "Bea/001.jpg"]),
        ("Cid/001.jpg", ["Ann/001.jpg", "Bea/001.jpg"]),
        ("002.v1", ["Ann/002.v1.jpg"]),
        ("\u00e9.png", ["e\u0301.png"]),
        ("00014.png", []),
        ("", []),
    ],
)
def test_names(name: str, keys: list[str]) -> None:
    assert PhotoNames(KEYS).find(name) == keys
