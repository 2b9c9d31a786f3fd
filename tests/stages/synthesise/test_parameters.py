"""The parameters of a synthesised reference: bounds, draws, JSON."""

import json
from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.stages.synthesise.parameters import Synthesis, draw, draw_json, from_json, to_json

BOUNDED = {name: st.floats(bounds.low, bounds.high) for name, bounds in Synthesis.BOUNDS.items()}
WHOLE = {name: st.integers(kind.low, kind.high) for name, kind in Synthesis.WHOLE.items()}


def test_every_number_is_bounded() -> None:
    assert {field.name for field in fields(Synthesis)} == BOUNDED.keys() | WHOLE.keys()


@given(st.builds(Synthesis, **BOUNDED, **WHOLE))
def test_json_reads_back_exactly(synthesis: Synthesis) -> None:
    assert from_json(to_json(synthesis)) == synthesis


@given(st.integers(0, 2**40), st.text(max_size=20), st.integers(0, 100))
def test_every_draw_is_within_bounds_and_no_copy(seed: int, target: str, number: int) -> None:
    drawn = draw(seed, target, number)
    assert from_json(draw_json(seed, target, number)) == drawn
    assert abs(drawn.yaw_deg) >= 10
    assert drawn.grain >= 0.6
    assert drawn.yaw_deg * draw(seed, target, number + 1).yaw_deg < 0


def test_draws_are_those_of_every_machine_and_differ_by_all_arguments() -> None:
    assert draw_json(0, "0123456789abcdef-0", 0) == (
        '{"ageing":0.7592,"brows":0.0424,"gain":0.9714,"grain":0.8955,"grain_seed":1120959319,'
        '"light_azimuth_deg":59.3434,"light_elevation_deg":46.5693,"light_strength":0.301,"mirrored":0,'
        '"pitch_deg":-5.8678,"smile":-0.1464,"warmth":-0.3474,"yaw_deg":15.3561}'
    )
    others = [draw(1, "a", 0), draw(0, "b", 0), draw(0, "a", 2)]
    assert draw(0, "a", 0) not in others


def test_half_of_the_references_are_mirrored_and_each_has_a_grain_of_its_own() -> None:
    drawn = [draw(0, "a", number) for number in range(60)]
    assert 20 < sum(one.mirrored for one in drawn) < 40
    assert len({one.grain_seed for one in drawn}) == 60


@pytest.mark.parametrize("name", [*BOUNDED, *WHOLE])
@pytest.mark.parametrize("value", ["1", None, True, float("nan"), float("inf"), -1e9, 1e9, [], 10**400])
def test_hostile_numbers_are_refused_by_name(name: str, value: object) -> None:
    record = asdict(Synthesis()) | {name: value}
    with pytest.raises(ValueError, match=rf"{name} of a synthesis is|cannot be read"):
        from_json(json.dumps(record))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "cannot be read"),
        ("[]", "is an object"),
        ("1" * 5000, "at most"),
        ("[" * 1500, "cannot be read"),
        ('{"yaw_deg": 1}', "lacks"),
        (to_json(Synthesis()).replace('"gain"', '"bain"'), "unknown field 'bain'"),
        (to_json(Synthesis()).replace("{", '{"gain":1,'), "twice"),
    ],
)
def test_what_is_no_synthesis_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        from_json(text)


@given(st.text())
def test_any_text_is_a_synthesis_or_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="a synthesis"):
        from_json(text)
