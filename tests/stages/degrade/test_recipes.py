"""Recipes: their draws never change and fill their ranges, and a recipe that cannot be drawn is refused."""

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerefs.schemas.operations import (
    Blur,
    Brightness,
    ColourShift,
    Contrast,
    GeneralisedBlur,
    Gray,
    Hue,
    Jpeg,
    MotionBlur,
    Noise,
    Operation,
    PlateauBlur,
    PoissonNoise,
    Range,
    Resize,
    Saturation,
    SincBlur,
)
from facerefs.schemas.theta import from_json, to_json
from facerefs.stages.degrade.recipe import (
    BlurKinds,
    FinalPass,
    IntRange,
    Pass,
    RandomBlur,
    RandomColour,
    RandomNoise,
    RandomResize,
    Recipe,
)
from facerefs.stages.degrade.recipes import RECIPES, RecipeName, derive_seed, draw
from tests.stages.degrade.any_recipe import recipes

DRAWS = 1500
SIZE_PX = 512
FINAL_PASSES = {"default": FinalPass()} | {
    name: recipe.ending for name, recipe in RECIPES.items() if recipe.ending
}
PASSES = {f"{name}{i}": one for name, recipe in RECIPES.items() for i, one in enumerate(recipe.rounds)}
JITTER = (Brightness, Contrast, Saturation, Hue)

FROZEN = {
    "gfpgan": "48473b9049c0c24d735d97aeefea92d6c897cc349f6632071330229a8dc71691",
    "gfpgan_colour": "6346b7971bab03bcaea4e5b54090b9da8467b6d443575a55ac053ab55a5c673c",
    "rdfr": "1402bbe8a6dbb4480baba7b8d084c180752e4cc846866e8af33d4e9499eae464",
    "posevaried": "607f9f8aca116d6f1c7181106a5aedefc2110eeb034fdc9b019b45947c77e703",
    "refine": "2d3a90cc253ac2b7bbf0f3809dd23390d6fb3f1886c9052aee66e27e6b2fd7cf",
    "moderate": "9c624f5c035c74d680ef89044333a7c45a424a97f0a8bd1b9a6130e76502ca37",
    "severe": "2014ae5ae078ca71f76f49ee817a9b6828aa562b96e0e816e09dd4a2672b3b88",
    "refldm": "989401cb58282bc082e93bc0ec8970415f42e2ae226c550e87a8f2327785598f",
    "faceme": "56ebbfe3acdcf61714aa02205be60de7bf628ba5b1cdaf604d3707a8e86006ef",
    "bicubic": "e6b1026766609eac1565fb9dac8f2078187f8e333ff491be7f44a4a63f538cd3",
    "bicubic_x8": "b80f852aa81f4625ecc7f0c9f34df9cb67884f9dc1c08be82ad9cbfb8240f86d",
    "bicubic_x16": "3f4436d2ca771a95d2a7ff016cab0d752e080d71c1b2df8b814d74c71832b66a",
    "realesrgan": "3971f4a6e88ac6a1791efd873185a722a3667ecf46d6d8a8e411b174ac44ec87",
}
"""SHA-256 of what each recipe draws. Of a new one a test says the line that stands here from then on."""

FROZEN_THETAS = [
    (
        "gfpgan",
        0,
        (
            '[{"angle_rad":-0.4009065168777095,"op":"blur","sigma_x_px":2.8553259503189157,'
            '"sigma_y_px":1.6316192322215233,"taps":41},{"mode":"bilinear","op":"resize","out_h":111,"out_w":111},'
            '{"gray":false,"op":"noise","seed":3472307482410287,"sigma":10.41913036287821},'
            '{"chroma":"4:2:0","op":"jpeg","quality":76}]'
        ),
    ),
    (
        "posevaried",
        0,
        (
            '[{"angle_rad":-0.4009065168777095,"length_px":6.931506716071442,"op":"motion_blur","taps":41},'
            '{"mode":"bilinear","op":"resize","out_h":116,"out_w":116},'
            '{"gray":false,"op":"noise","seed":3472307482410287,"sigma":13.023912953597764},'
            '{"chroma":"4:2:0","op":"jpeg","quality":23}]'
        ),
    ),
    (
        "gfpgan_colour",
        411,
        (
            '[{"angle_rad":0.0,"op":"blur","sigma_x_px":7.568448196627929,"sigma_y_px":7.568448196627929,"taps":41},'
            '{"mode":"bilinear","op":"resize","out_h":67,"out_w":67},'
            '{"gray":false,"op":"noise","seed":4931679272497955,"sigma":15.223956002747185},'
            '{"blue":12.83015418545115,"green":-8.72461125481272,"op":"colour_shift","red":-11.4400249580391},'
            '{"op":"gray"},{"chroma":"4:2:0","op":"jpeg","quality":74}]'
        ),
    ),
    ("bicubic", 0, '[{"mode":"bicubic_antialias","op":"resize","out_h":16,"out_w":16}]'),
    (
        "realesrgan",
        0,
        (
            '[{"angle_rad":0.0,"beta":2.730558966794424,"op":"generalised_blur","sigma_x_px":0.9792841071609053,'
            '"sigma_y_px":0.9792841071609053,"taps":7},{"mode":"bilinear","op":"resize","out_h":646,"out_w":646},'
            '{"gray":false,"op":"noise","seed":3472307482410287,"sigma":16.107739026173405},'
            '{"chroma":"4:2:0","op":"jpeg","quality":56},'
            '{"angle_rad":0.0,"op":"blur","sigma_x_px":0.4990483656119334,"sigma_y_px":0.4990483656119334,"taps":7},'
            '{"mode":"bicubic","op":"resize","out_h":60,"out_w":60},'
            '{"gray":false,"op":"poisson_noise","scale":0.4172452918176939,"seed":8898724428527003},'
            '{"chroma":"4:2:0","op":"jpeg","quality":66},{"mode":"bilinear","op":"resize","out_h":128,"out_w":128},'
            '{"cutoff_rad":2.8831382363833624,"op":"sinc_blur","taps":15}]'
        ),
    ),
]


def _drawn(recipe: Recipe, count: int = DRAWS) -> list[tuple[Operation, ...]]:
    return [draw(recipe, derive_seed(1, recipe.name, i), SIZE_PX) for i in range(count)]


def _fills(values: Iterable[float], low: float, high: float, slack: float = 0.04) -> None:
    """All of them are in the range, and they come as close to its ends as so many can; there may be none."""
    seen = list(values)
    if not seen:
        return  # how many there are is for the chances to say
    margin = max(slack, 1 - 1e-4 ** (1 / len(seen))) * (high - low)
    assert low <= min(seen) <= low + margin
    assert high - margin <= max(seen) <= high


# what was drawn once is drawn for ever


@pytest.mark.parametrize(("name", "number", "theta"), FROZEN_THETAS, ids=[one[0] for one in FROZEN_THETAS])
def test_draws_never_change(name: str, number: int, theta: str) -> None:
    assert to_json(draw(RECIPES[name], derive_seed(0, "a", number), 512)) == theta


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_draw_what_they_drew_before(name: str) -> None:
    seen = hashlib.sha256()
    for number in range(500):
        for size_px in (512, 256):
            theta = draw(RECIPES[name], derive_seed(3, name, number), size_px)
            seen.update(to_json(theta).encode())
    line = f'    "{name}": "{seen.hexdigest()}",'
    assert name in FROZEN, (
        f"write down what {name} draws, so that it draws it for ever: add to FROZEN\n{line}"
    )
    assert seen.hexdigest() == FROZEN[name], (
        f"{name} draws other numbers than before, and shards cannot be remade"
    )


@given(st.integers(0, 2**64), st.text(st.characters(codec="utf-8"), max_size=20), st.integers(0, 10**9))
def test_a_seed_depends_on_each_of_its_parts(seed: int, key: str, number: int) -> None:
    here = derive_seed(seed, key, number)
    assert 0 <= here < 2**64
    assert here == derive_seed(seed, key, number)
    others = {
        derive_seed(seed + 1, key, number),
        derive_seed(seed, key + "x", number),
        derive_seed(seed, key, number + 1),
    }
    assert here not in others


def test_names_in_the_configuration_are_those_of_the_recipes() -> None:
    assert get_args(RecipeName) == tuple(RECIPES)


# ranges and probabilities


@pytest.mark.parametrize("one", PASSES.values(), ids=PASSES)
def test_a_pass_stays_in_its_ranges_and_reaches_their_ends(one: Pass) -> None:
    thetas = _drawn(Recipe("one", (one,)))
    ops = [op for theta in thetas for op in theta]
    _check_blurs(one.blur, [op for op in ops if isinstance(op, get_args(Blur | MotionBlur | _OTHER_BLURS))])
    _check_sizes(one.resize, [op for op in ops if isinstance(op, Resize)])
    _check_noise(one.noise, [op for op in ops if isinstance(op, Noise | PoissonNoise)])
    _check_colour(one.colour, thetas)
    low, high = one.jpeg_quality or (0, -1)
    _takes_all([op.quality for op in ops if isinstance(op, Jpeg)], range(low, high + 1))
    assert not one.jpeg_quality or all(isinstance(theta[-1], Jpeg) for theta in thetas)


_OTHER_BLURS = GeneralisedBlur | PlateauBlur | SincBlur


def _takes_all(values: list[int], allowed: range) -> None:
    """No others, and all of them if there are values enough."""
    assert set(values) <= set(allowed)
    if len(values) > 12 * len(allowed):
        assert set(values) == set(allowed)


def _check_blurs(blur: RandomBlur | None, ops: list[Any]) -> None:
    if blur is None:
        assert not ops
        return
    assert len(ops) / DRAWS == pytest.approx(blur.chance, abs=0.04)
    _takes_all([op.taps for op in ops], range(blur.taps.low, blur.taps.high + 1, 2))
    sincs = [op for op in ops if isinstance(op, SincBlur)]
    assert len(sincs) / len(ops) == pytest.approx(blur.sinc_chance, abs=0.03)
    _fills([op.cutoff_rad for op in sincs if op.taps < 13], *blur.sinc_cutoff_rad, 0.1)
    _fills([op.cutoff_rad for op in sincs if op.taps >= 13], *blur.sinc_cutoff_from_13_taps_rad, 0.1)
    others = [op for op in ops if not isinstance(op, SincBlur)]
    kinds = asdict(blur.kinds)
    weights = {
        MotionBlur: kinds["motion"],
        Blur: kinds["isotropic"] + kinds["anisotropic"],
        GeneralisedBlur: kinds["generalised_isotropic"] + kinds["generalised_anisotropic"],
        PlateauBlur: kinds["plateau_isotropic"] + kinds["plateau_anisotropic"],
    }
    for kind, weight in weights.items():
        share = len([op for op in others if type(op) is kind]) / len(others)
        assert share == pytest.approx(weight / sum(weights.values()), abs=0.04), kind
    _fills([op.length_px for op in ops if isinstance(op, MotionBlur)], *blur.motion_px)
    turned = [op for op in ops if isinstance(op, Blur | GeneralisedBlur | PlateauBlur)]
    _fills([op.sigma_x_px for op in turned], *blur.sigma_px)
    _fills([op.sigma_y_px for op in turned], *blur.sigma_px)
    _fills([op.angle_rad for op in turned if op.angle_rad], -math.pi, math.pi)
    assert all(op.sigma_x_px == op.sigma_y_px for op in turned if op.angle_rad == 0)
    plateaus = [op.beta for op in ops if isinstance(op, PlateauBlur)]
    _fills(plateaus, *blur.plateau_beta, 0.1)
    generalised = [op.beta for op in ops if isinstance(op, GeneralisedBlur)]
    _fills(generalised, *blur.generalised_beta, 0.1)
    if len(generalised) > 50:
        assert sum(beta < 1 for beta in generalised) / len(generalised) == pytest.approx(0.5, abs=0.1)
    if len(plateaus) > 50 and blur.plateau_beta.low == 1:
        assert sum(beta == 1 for beta in plateaus) / len(plateaus) == pytest.approx(0.5, abs=0.1)


def _check_sizes(resize: RandomResize | None, ops: list[Resize]) -> None:
    if resize is None:
        assert not ops
        return
    assert len(ops) == DRAWS
    assert all(op.out_w == op.out_h for op in ops)
    assert {op.mode for op in ops} == set(resize.modes)
    sides = [op.out_w for op in ops]
    if resize.factor:
        base = SIZE_PX / resize.base_reduction
        _fills(sides, int(base * resize.factor.low), int(base * resize.factor.high))
        ways = [(side > base) - (side < base) for side in sides]
        weights = {1: resize.up, -1: resize.down, 0: resize.keep}
        for way, weight in weights.items():
            assert ways.count(way) / DRAWS == pytest.approx(weight / sum(weights.values()), abs=0.04)
    else:
        reductions = resize.reduction or resize.reduction_choices
        _fills(sides, SIZE_PX // max(reductions), SIZE_PX // min(reductions), 0.03)


def _check_noise(noise: RandomNoise | None, ops: list[Noise | PoissonNoise]) -> None:
    if noise is None:
        assert not ops
        return
    assert len({op.seed for op in ops}) == DRAWS
    _fills([op.sigma for op in ops if isinstance(op, Noise)], *noise.sigma)
    poisson = [op.scale for op in ops if isinstance(op, PoissonNoise)]
    assert len(poisson) / DRAWS == pytest.approx(noise.poisson_chance, abs=0.04)
    _fills(poisson, *noise.poisson_scale)
    assert sum(op.gray for op in ops) / DRAWS == pytest.approx(noise.gray_chance, abs=0.04)


def _check_colour(colour: RandomColour | None, thetas: list[tuple[Operation, ...]]) -> None:
    expected = colour or RandomColour()
    ops = [op for theta in thetas for op in theta]
    shifts = [op for op in ops if isinstance(op, ColourShift)]
    assert len(shifts) / DRAWS == pytest.approx(expected.shift_chance, abs=0.04)
    assert sum(isinstance(op, Gray) for op in ops) / DRAWS == pytest.approx(expected.gray_chance, abs=0.01)
    jitters = [tuple(type(op) for op in theta if isinstance(op, JITTER)) for theta in thetas]
    jitters = [kinds for kinds in jitters if kinds]
    assert len(jitters) / DRAWS == pytest.approx(expected.jitter_chance, abs=0.04)
    if colour:
        assert len(set(jitters)) == (
            24 if len(jitters) > 300 else len(set(jitters))
        )  # all orders of all four
        for channel in ("red", "green", "blue"):
            _fills([getattr(op, channel) for op in shifts], -colour.shift, colour.shift)
        for kind, ends in zip(
            JITTER, (colour.brightness, colour.contrast, colour.saturation, colour.hue), strict=True
        ):
            _fills([_number(op) for op in ops if isinstance(op, kind)], *ends)


def _number(op: Any) -> float:
    number: float = op.turn if isinstance(op, Hue) else op.factor
    return number


@pytest.mark.parametrize("ending", FINAL_PASSES.values(), ids=FINAL_PASSES)
def test_a_final_pass_stays_in_its_ranges_and_comes_in_both_orders(ending: FinalPass) -> None:
    thetas = _drawn(Recipe("end", (Pass(),), ending))
    sincs = [op for theta in thetas for op in theta if isinstance(op, SincBlur)]
    _fills([op.cutoff_rad for op in sincs], *ending.sinc_cutoff_rad)
    _takes_all([op.taps for op in sincs], range(ending.sinc_taps.low, ending.sinc_taps.high + 1, 2))
    assert len(sincs) / DRAWS == pytest.approx(ending.sinc_chance, abs=0.04)
    jpegs = [op.quality for theta in thetas for op in theta if isinstance(op, Jpeg)]
    assert len(jpegs) == DRAWS
    _takes_all(jpegs, range(ending.jpeg_quality.low, ending.jpeg_quality.high + 1))
    orders = [tuple(type(op) for op in theta) for theta in thetas]
    assert set(orders) <= {(Resize, SincBlur, Jpeg), (Jpeg, Resize, SincBlur), (Resize, Jpeg), (Jpeg, Resize)}
    last = sum(order[-1] is Jpeg for order in orders) / DRAWS
    assert last == pytest.approx(ending.jpeg_last_chance, abs=0.04)
    side_px = int(SIZE_PX // ending.reduction)
    assert {op.out_w for theta in thetas for op in theta if isinstance(op, Resize)} == {side_px}


def test_passes_are_drawn_independently_of_each_other() -> None:
    one = Pass(blur=RandomBlur(), noise=RandomNoise())
    thetas = _drawn(Recipe("both", (one, one)))
    first, second = ([theta[i].sigma_x_px for theta in thetas] for i in (0, 2))  # type: ignore[union-attr]
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.08
    assert all(theta[1].seed != theta[3].seed for theta in thetas)  # type: ignore[union-attr]


def test_a_recipe_says_whether_it_ends_with_jpeg() -> None:
    kept = {name for name, recipe in RECIPES.items() if recipe.ends_with_jpeg}
    for name, recipe in RECIPES.items():
        always = all(isinstance(theta[-1], Jpeg) for theta in _drawn(recipe, 50))
        assert (name in kept) == always, name


# recipes of users


@settings(max_examples=100, deadline=None)
@given(recipes(), st.integers(0, 2**64 - 1), st.integers(1, 1024))
def test_any_recipe_draws_thetas_that_can_be_stored(recipe: Recipe, seed: int, size_px: int) -> None:
    theta = draw(recipe, seed, size_px)
    assert from_json(to_json(theta)) == theta
    assert draw(recipe, seed, size_px) == theta
    if recipe.ends_with_jpeg:
        assert isinstance(theta[-1], Jpeg)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (BlurKinds, "the weights of the kinds of blur are 0 or more, and one is more than 0"),
        (lambda: BlurKinds(isotropic=-1, motion=2), "the weights of the kinds of blur"),
        (lambda: BlurKinds(isotropic=math.inf), "the weights of the kinds of blur"),
        (lambda: RandomBlur(taps=IntRange(20, 21)), "taps has odd ends, but is [20, 21]"),
        (
            lambda: RandomBlur(taps=IntRange(9, 7)),
            "taps is a range [low, high] with both ends from 1 to 511",
        ),
        (
            lambda: RandomBlur(sigma_px=Range(3, 1)),
            "sigma_px is a range [low, high] with both ends from 0.01",
        ),
        (lambda: RandomBlur(sigma_px=Range(math.nan, 1)), "sigma_px is a range"),
        (lambda: RandomBlur(plateau_beta=Range(2, 3)), "plateau_beta has to include 1, but is [2, 3]"),
        (lambda: RandomBlur(chance=1.5), "chance is from 0 to 1, not 1.5"),
        (lambda: RandomBlur(sinc_cutoff_rad=Range(1, 4)), "sinc_cutoff_rad is a range"),
        (
            lambda: RandomBlur(BlurKinds(motion=1), taps=IntRange(7, 21)),
            "motion_px up to 41 does not fit into 7 taps",
        ),
        (RandomResize, "exactly one of reduction, reduction_choices and factor"),
        (lambda: RandomResize(reduction=Range(1, 8), factor=Range(0.5, 1)), "exactly one of"),
        (lambda: RandomResize(reduction_choices=(4, 0)), "reduction_choices is from 0.25 to 1000, not 0"),
        (lambda: RandomResize(factor=Range(1.2, 1.5)), "factor has to include 1, but is [1.2, 1.5]"),
        (lambda: RandomResize(reduction=Range(1, 8), modes=()), "a resize needs at least one of its modes"),
        (lambda: RandomResize(factor=Range(0.5, 1), up=0, down=0), "the weights of up, down and keep"),
        (
            lambda: RandomNoise(sigma=Range(0, 300)),
            "sigma is a range [low, high] with both ends from 0 to 255",
        ),
        (lambda: RandomNoise(poisson_chance=math.nan), "poisson_chance is from 0 to 1, not nan"),
        (lambda: RandomColour(shift=-1), "shift is from 0 to 255, not -1"),
        (
            lambda: RandomColour(hue=Range(-1, 1)),
            "hue is a range [low, high] with both ends from -0.5 to 0.5",
        ),
        (lambda: Pass(jpeg_quality=IntRange(0, 50)), "jpeg_quality is a range"),
        (lambda: FinalPass(sinc_taps=IntRange(6, 21)), "sinc_taps has odd ends"),
        (lambda: Recipe("Mild!", (Pass(),)), "the name of a recipe is up to 40 of a-z"),
        (lambda: Recipe("mild", ()), "a recipe has 1 to 8 rounds, not 0"),
    ],
)
def test_a_recipe_that_cannot_be_drawn_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the text follows)
        make()
    assert said in str(error.value)
    assert "\n" not in str(error.value)
