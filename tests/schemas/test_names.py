"""Names in all spellings: what counts as one name, and what does not."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.schemas.names import name_key, path_key, without_margins
from facerefs.stages.degrade.recipes import derive_seed
from facerefs.stages.splits import splits_of

JOSE_NFC, JOSE_NFD = "Jos\u00e9", "Jose\u0301"


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        (JOSE_NFD, JOSE_NFC),
        ("Ada  Lovelace", "Ada Lovelace"),
        (" Ada\tLovelace\r\n", "Ada Lovelace"),
        ("Ada\u00a0Lovelace", "Ada Lovelace"),  # no-break
        ("Ada\u202fLovelace\u2003", "Ada Lovelace"),  # narrow no-break, em quad
        ("\u3000Ada\u3000Lovelace", "Ada Lovelace"),  # ideographic
        ("\ufeffAda Lovelace", "Ada Lovelace"),  # byte order mark
        ("Ada \u200bLove\u200clace\u200d\u2060", "Ada Lovelace"),  # zero width
        ("Ada Love\u00adlace", "Ada Lovelace"),  # soft hyphen
        ("\u202aAda Lovelace\u202c", "Ada Lovelace"),  # direction
        ("\uff21\uff44\uff41 Lovelace", "Ada Lovelace"),  # full width
        ("Jose\u200b\u0301", JOSE_NFC),
        ("\u200b \u3164", ""),
    ],
)
def test_spellings_of_one_name_are_equal(spelling: str, name: str) -> None:
    assert name_key(spelling) == name_key(name) == name


@pytest.mark.parametrize(
    ("one", "other"),
    [("ada", "Ada"), ("Jose", JOSE_NFC), ("Ada Lovelace", "AdaLovelace"), ("Ada-Lovelace", "Ada Lovelace")],
)
def test_other_names_stay_others(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


@given(st.text(max_size=20))
def test_the_key_of_any_name_is_stable_and_the_same_for_every_composition(name: str) -> None:
    key = name_key(name)
    assert name_key(key) == key
    assert name_key(unicodedata.normalize("NFD", name)) == name_key(unicodedata.normalize("NFC", name))
    assert name_key(without_margins(name)) == key


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_name_in_ascii_stays_as_it_is_and_in_its_split(name: str) -> None:
    assert name_key(name) == name
    draw = derive_seed(3, f"split {name}", 0) / 2**64
    assert splits_of([name], 3, 0, 0.5)[name] == ("test" if draw < 0.5 else "train")


def test_all_spellings_of_a_name_are_in_one_split() -> None:
    for number in range(50):
        name = f"{JOSE_NFC} {number}"
        others = (unicodedata.normalize("NFD", name), name.replace(" ", "\u00a0"), f" {name}")
        assert {splits_of([other], 0, 0.3, 0.3)[other] for other in others} == {
            splits_of([name], 0, 0.3, 0.3)[name]
        }


def test_paths_are_equal_as_macos_and_others_write_them() -> None:
    assert path_key(f"{JOSE_NFD}/1.jpg") == path_key(f"{JOSE_NFC}/1.jpg")
    assert path_key("a  b.jpg") != path_key("a b.jpg")
