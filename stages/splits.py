"""The split of each person: train, val or test."""

from collections.abc import Iterable, Mapping

from facerefs.schemas.names import name_key
from facerefs.stages.degrade.draws import derive_seed

LEAST_PEOPLE = 0.5
"""To how many people a share must amount for its split to be filled."""


def splits_of(
    people: Iterable[str], seed: int, val_share: float, test_share: float, test_people: int | None = None
) -> Mapping[str, str]:
    """The split of each person, by a hash of the name in any spelling, so that it stays the same when photos are added.

    test_people: exactly so many people are in `test`, those with the smallest hashes, instead of a share; all people if
    there are fewer. The shares are then of all people, and `val` has those with the next hashes.

    A split that would stay empty, though its share amounts to a person, takes one from the largest split: the one
    with the smallest hash. One person always stays behind. So only in small sets may a new person move others.
    """
    draws = {name: derive_seed(seed, f"split {name_key(name)}", 0) / 2**64 for name in sorted(people)}
    if test_people is not None:
        in_order = sorted(draws, key=draws.__getitem__)
        first_of_train = test_people + round(val_share * len(in_order))
        return {
            name: "test" if place < test_people else "val" if place < first_of_train else "train"
            for place, name in enumerate(in_order)
        }
    splits = {name: _split(draw, val_share, test_share) for name, draw in draws.items()}
    for split, share in (("test", test_share), ("val", val_share)):
        if split in splits.values() or share * len(splits) < LEAST_PEOPLE:
            continue
        donors = _largest(splits)
        if len(donors) > 1:
            splits[min(donors, key=draws.__getitem__)] = split
    return splits


def _split(draw: float, val_share: float, test_share: float) -> str:
    return "test" if draw < test_share else "val" if draw < test_share + val_share else "train"


def _largest(splits: Mapping[str, str]) -> list[str]:
    """The people of the largest split."""
    held: dict[str, list[str]] = {"train": []}
    for name, split in splits.items():
        held.setdefault(split, []).append(name)
    return max(held.values(), key=len)
