"""Splits: by a hash of the name, and none empty whose share amounts to a person."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from facerefs.stages.splits import splits_of

people = st.sets(st.text("abcdefgh", min_size=1, max_size=6), min_size=1, max_size=60)
share = st.floats(0, 0.5)


def test_a_share_that_amounts_to_a_person_gets_one() -> None:
    nine = [f"person {number}" for number in range(9)]
    for seed in range(30):
        found = Counter(splits_of(nine, seed, 0.2, 0.2).values())
        assert found["test"] >= 1
        assert found["val"] >= 1
        assert found["train"] >= 1


def test_less_than_half_a_person_fills_nothing() -> None:
    for seed in range(30):
        draws = splits_of(["ann", "bob"], seed, 0.05, 0.05)
        assert draws == splits_of(["bob", "ann"], seed, 0.05, 0.05)
    empty = [
        seed for seed in range(30) if set(splits_of(["ann", "bob"], seed, 0.05, 0.05).values()) == {"train"}
    ]
    assert len(empty) > 20


def test_nobody_is_taken_from_a_set_of_one_or_two_people_but_one() -> None:
    assert len(set(splits_of(["ann"], 0, 0.5, 0.5).values())) == 1
    for seed in range(20):
        found = list(splits_of(["ann", "bob"], seed, 0.25, 0.25).values())
        assert len(set(found)) == 2


@given(people, share, share, st.integers(0, 5))
def test_a_set_without_an_empty_split_is_split_by_the_hash_alone(
    names: set[str], val: float, test: float, seed: int
) -> None:
    found = splits_of(names, seed, val, test)
    alone = {name: splits_of([name], seed, val, test)[name] for name in names}  # one person: nothing to fill
    filled = {
        split for split, part in (("val", val), ("test", test)) if split not in alone.values() and part > 0
    }
    moved = {name for name in names if found[name] != alone[name]}
    assert len(moved) <= len(filled)
    assert {found[name] for name in moved} <= filled


@given(people, share, st.integers(1, 6), st.text("abcdefgh", min_size=1, max_size=6))
def test_a_number_of_people_is_kept_exactly_and_a_new_person_moves_one_of_them(
    names: set[str], val: float, test_people: int, new: str
) -> None:
    before = splits_of(names, 0, val, 0.5, test_people)
    assert list(before.values()).count("test") == min(test_people, len(names))
    after = splits_of(names | {new}, 0, val, 0.5, test_people)
    assert sum(before[name] == "test" != after[name] for name in names) <= 1


@given(people, share, share, st.text("abcdefgh", min_size=1, max_size=6))
def test_a_new_person_moves_only_those_who_filled_a_split(
    names: set[str], val: float, test: float, new: str
) -> None:
    before, after = splits_of(names, 0, val, test), splits_of(names | {new}, 0, val, test)
    assert sum(before[name] != after[name] for name in names) <= 4
