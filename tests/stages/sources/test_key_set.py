"""The set of keys that finds duplicates in a long list."""

from hypothesis import given
from hypothesis import strategies as st

from facerefs.stages.sources.lists.key_set import KeySet

TEXTS = st.lists(st.lists(st.text("abé\0", max_size=3), max_size=20), max_size=20)


@given(TEXTS)
def test_it_agrees_with_a_python_set(batches: list[list[str]]) -> None:
    seen, known = KeySet(), set[str]()
    for batch in batches:
        expected = []
        for text in batch:
            expected.append(text in known)
            known.add(text)
        assert seen.add(batch).tolist() == expected


def test_it_keeps_eight_bytes_a_key_in_few_runs() -> None:
    seen = KeySet()
    for start in range(0, 100_000, 1000):
        assert not seen.add([str(i) for i in range(start, start + 1000)]).any()
    assert sum(run.nbytes for run in seen._runs) == 800_000
    assert len(seen._runs) <= 8
    assert seen.add(["99999", "0", "100000"]).tolist() == [True, True, False]
