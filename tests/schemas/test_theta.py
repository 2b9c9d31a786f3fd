"""theta survives its JSON exactly, and nothing else passes for theta."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.schemas.operations import (
    OPERATIONS,
    Blur,
    Brightness,
    ColourShift,
    Contrast,
    GeneralisedBlur,
    Gray,
    Hue,
    Jpeg,
    Mirror,
    MotionBlur,
    Noise,
    PlateauBlur,
    PoissonNoise,
    Resize,
    Saturation,
    SincBlur,
)
from facerefs.schemas.theta import Theta, describe, from_json, to_json

taps = st.integers(0, 255).map(lambda half: 2 * half + 1)
angle = st.floats(-math.tau, math.tau)
sigma = st.floats(0.01, 1000)
shift = st.floats(-255, 255)
beta = st.floats(0.1, 20)
factor = st.floats(0, 10)
seed = st.integers(0, 2**53 - 1)
pixels = st.integers(1, 16_384)
modes = st.sampled_from(["bilinear", "bicubic", "area", "bicubic_antialias"])
operations_by_name = {
    "mirror": st.builds(Mirror),
    "blur": st.builds(Blur, taps, sigma, sigma, angle),
    "generalised_blur": st.builds(GeneralisedBlur, taps, sigma, sigma, angle, beta),
    "plateau_blur": st.builds(PlateauBlur, taps, sigma, sigma, angle, beta),
    "sinc_blur": st.builds(SincBlur, taps, st.floats(0.01, math.pi)),
    "motion_blur": st.builds(MotionBlur, st.just(511), st.floats(1, 511), angle),
    "resize": st.builds(Resize, pixels, pixels, modes),
    "noise": st.builds(Noise, st.floats(0, 255), st.booleans(), seed),
    "poisson_noise": st.builds(PoissonNoise, st.floats(0, 20), st.booleans(), seed),
    "colour_shift": st.builds(ColourShift, shift, shift, shift),
    "brightness": st.builds(Brightness, factor),
    "contrast": st.builds(Contrast, factor),
    "saturation": st.builds(Saturation, factor),
    "hue": st.builds(Hue, st.floats(-0.5, 0.5)),
    "gray": st.builds(Gray),
    "jpeg": st.builds(Jpeg, st.integers(1, 100), st.sampled_from(["4:2:0", "4:4:4"])),
}
operations = st.one_of(*operations_by_name.values())
thetas = st.lists(operations, max_size=8).map(tuple)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
EXAMPLE: Theta = (
    Blur(taps=41, sigma_x_px=3.1, sigma_y_px=1.2, angle_rad=0.5),
    Resize(out_w=97, out_h=97, mode="bilinear"),
    Noise(sigma=12.4, gray=False, seed=7),
    Jpeg(quality=71, chroma="4:2:0"),
)


def test_all_operations_are_tested_here() -> None:
    assert operations_by_name.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("name", OPERATIONS)
@given(data=st.data())
def test_each_operation_has_its_name_in_json_and_its_own_words(name: str, data: st.DataObject) -> None:
    operation = data.draw(operations_by_name[name])
    (record,) = json.loads(to_json((operation,)))
    assert record.pop("op") == name
    assert record == vars(operation)
    assert len(describe((operation,))) > 5


@given(thetas)
def test_json_gives_back_the_same_theta_and_the_same_text(theta: Theta) -> None:
    text = to_json(theta)
    assert from_json(text) == theta
    assert to_json(from_json(text)) == text


def test_text_is_canonical() -> None:
    assert to_json(EXAMPLE) == (
        '[{"angle_rad":0.5,"op":"blur","sigma_x_px":3.1,"sigma_y_px":1.2,"taps":41},'
        '{"mode":"bilinear","op":"resize","out_h":97,"out_w":97},'
        '{"gray":false,"op":"noise","seed":7,"sigma":12.4},'
        '{"chroma":"4:2:0","op":"jpeg","quality":71}]'
    )


def test_order_of_fields_and_whole_numbers_for_floats_do_not_matter() -> None:
    text = '[ {"seed": 7, "sigma": 12, "op": "noise", "gray": false} ]'
    assert from_json(text) == (Noise(sigma=12.0, gray=False, seed=7),)


@given(thetas.filter(bool), st.data())
def test_a_spoilt_value_is_refused_or_read_as_a_valid_theta(theta: Theta, data: st.DataObject) -> None:
    records = json.loads(to_json(theta))
    record = data.draw(st.sampled_from(records))
    record[data.draw(st.sampled_from(sorted(record)) | st.text(max_size=5))] = data.draw(json_values)
    _read_or_refuse(json.dumps(records))


@given(json_values.map(json.dumps) | st.text())
def test_any_text_is_refused_or_read_as_a_valid_theta(text: str) -> None:
    _read_or_refuse(text)


def _read_or_refuse(text: str) -> None:
    try:
        theta = from_json(text)
    except ValueError as error:
        sentence = str(error)
        assert 10 < len(sentence) < 300
        assert "\n" not in sentence
    else:
        assert from_json(to_json(theta)) == theta


JPEG: dict[str, Any] = {"op": "jpeg", "quality": 71, "chroma": "4:2:0"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[" + "9" * 10_000 + "]", "cannot be read"),
        ("{}", "is a list of operations"),
        ("[7]", "an object with a field op"),
        ('[{"quality": 7}]', "an object with a field op"),
        ('[{"op": "rotate"}]', "unknown operation 'rotate'"),
        ('[{"op": []}]', "unknown operation"),
        (json.dumps([JPEG | {"colour": 1}]), "jpeg: unknown field 'colour'"),
        ('[{"op": "jpeg", "quality": 71}]', "jpeg: field chroma is missing"),
        ('[{"op": "gray", "op": "gray"}]', "'op' stands twice"),
        (json.dumps([JPEG | {"quality": 71.0}]), "quality is of type int"),
        (json.dumps([JPEG | {"quality": True}]), "quality is of type int"),
        (json.dumps([JPEG | {"quality": "71"}]), "quality is of type int"),
        (json.dumps([JPEG | {"quality": 0}]), "quality is from 1 to 100"),
        (json.dumps([JPEG | {"chroma": "4:1:1"}]), "chroma is one of 4:2:0, 4:4:4"),
        ('[{"op": "noise", "gray": false, "seed": 1, "sigma": NaN}]', "NaN is not a finite number"),
        ('[{"op": "noise", "gray": false, "seed": 1, "sigma": 1e999}]', "sigma is from 0 to 255, not inf"),
        ('[{"op": "noise", "gray": 0, "seed": 1, "sigma": 1.0}]', "gray is of type bool"),
        ('[{"op": "noise", "gray": false, "seed": 1e3, "sigma": 1.0}]', "seed is of type int"),
        (
            '[{"op": "blur", "taps": 40, "sigma_x_px": 1.0, "sigma_y_px": 1.0, "angle_rad": 0.0}]',
            "odd number of taps",
        ),
        ('[{"op": "motion_blur", "taps": 5, "length_px": 9, "angle_rad": 0}]', "does not fit into 5 taps"),
        ('[{"op": "sinc_blur", "taps": 8, "cutoff_rad": 1}]', "odd number of taps"),
        ('[{"op": "sinc_blur", "taps": 7, "cutoff_rad": 3.2}]', "cutoff_rad is from 0.01 to 3.14"),
        (
            '[{"op": "plateau_blur", "taps": 7, "sigma_x_px": 1, "sigma_y_px": 1, "angle_rad": 0, "beta": 0}]',
            "plateau_blur: beta is from 0.1 to 20, not 0.0",
        ),
        (
            '[{"op": "generalised_blur", "taps": 7, "sigma_x_px": 1, "sigma_y_px": 1, "angle_rad": 7, "beta": 1}]',
            "generalised_blur: angle_rad is from -6.28",
        ),
        (
            '[{"op": "resize", "out_w": 8, "out_h": 8, "mode": "nearest"}]',
            "mode is one of bilinear, bicubic, area",
        ),
        ('[{"op": "poisson_noise", "scale": 21, "gray": true, "seed": 1}]', "scale is from 0 to 20"),
        ('[{"op": "poisson_noise", "scale": 1, "gray": true, "seed": -1}]', "seed is from 0 to"),
        ('[{"op": "hue", "turn": 0.6}]', "turn is from -0.5 to 0.5"),
        ('[{"op": "brightness", "factor": -0.1}]', "factor is from 0 to 10"),
        ('[{"op": "saturation", "factor": null}]', "factor is of type float"),
        ('[{"op": "mirror", "axis": 1}]', "mirror: unknown field 'axis'"),
    ],
)
def test_what_is_no_theta_is_refused_with_its_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(text)


def test_an_operation_made_in_python_is_checked_too() -> None:
    with pytest.raises(ValueError, match="quality is from 1 to 100"):
        Jpeg(quality=101, chroma="4:2:0")
    with pytest.raises(ValueError, match="sigma is from 0 to 255, not nan"):
        Noise(sigma=math.nan, gray=False, seed=0)


def test_theta_is_described_in_words() -> None:
    assert describe(EXAMPLE) == (
        "blurred (anisotropic, sigma 3.1 x 1.2 px), resized to 97 x 97 px, noise 12.4, JPEG quality 71"
    )
    assert describe(()) == "unchanged"


@given(thetas)
def test_every_operation_has_words(theta: Theta) -> None:
    assert describe(theta)
