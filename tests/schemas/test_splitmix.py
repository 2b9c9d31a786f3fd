"""SplitMix64: the numbers are those of its authors, one by one and many at a time."""

import numpy as np

from facerefs.schemas.splitmix import fold_in, fold_in_keys, numbers


def test_the_numbers_are_those_of_splitmix64() -> None:
    # The first outputs of Vigna's splitmix64.c for the seed 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert numbers(1234567, np.arange(4, dtype=np.uint64)).tolist() == expected


def test_keys_are_derived_one_by_one_as_many_at_a_time() -> None:
    assert fold_in_keys(7, np.arange(3, dtype=np.uint64)).tolist() == [fold_in(7, part) for part in range(3)]
    assert fold_in(7, 1, 2) == fold_in(fold_in(7, 1), 2) != fold_in(7, 2, 1)
