"""What a build writes is what `schemas.sample` defines, and whatever else a JSON holds is said in one sentence."""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.schemas.fields import Field, Object, Text, UnitVector
from facerefs.schemas.operations import Range
from facerefs.schemas.sample import (
    BOXES,
    FACE,
    FILES,
    IMAGE_TYPES,
    MAX_JSON_BYTES,
    MAX_OPERATIONS,
    OF_GIVEN,
    OF_MADE_ELSEWHERE,
    OF_PHOTOS,
    OF_SYNTHESISED,
    PAIR,
    REFERENCE,
    SAMPLE,
    SYNTHESIS,
    TARGET,
    json_fault,
    kinds_of,
    read_json,
)
from facerefs.schemas.sample import files_of as all_files
from facerefs.schemas.tables import FACE_IN_SAMPLE, FACES, LABELS, PAIR_IN_SAMPLE, PAIRS, SOURCES
from facerefs.stages.degrade.recipe import (
    FinalPass,
    IntRange,
    Pass,
    RandomBlur,
    RandomColour,
    RandomNoise,
    RandomResize,
    Recipe,
)
from facerefs.stages.degrade.recipes import draw
from facerefs.stages.faces.boxes import component_boxes
from facerefs.stages.images.encode import ImageFormat
from tests.pipeline.small_set import SMALL, Files, files_of, make_set
from tests.pipeline.verify.test_verify import a_shard, check, rewrite
from tests.stages.synthesise.test_stored import make_set as make_synthesised_set

Record = dict[str, Any]


def stored(samples: Path) -> list[Files]:
    return [files for tar in sorted(samples.glob("*.tar")) for files in files_of(tar).values()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build whose references are photos or synthesised."""
    return make_synthesised_set(tmp_path_factory.mktemp("set") / "build")


@pytest.fixture(scope="module")
def records(folder: Path) -> list[Record]:
    return [read_json(files["json"]) for files in stored(folder / "samples")]


@pytest.fixture(scope="module")
def record(records: list[Record]) -> Record:
    """A sample whose two references are synthesised, and as a third a photo."""
    made = next(one for one in records if len(one["references"]) == 2)
    photo = next(one for one in records if len(one["references"]) == 1)["references"][0]
    return made | {"references": [*made["references"], photo]}


def test_every_json_that_is_written_is_as_defined(records: list[Record]) -> None:
    assert {json_fault(record) for record in records} == {None}


def test_every_field_that_is_defined_is_written_where_it_says(records: list[Record]) -> None:
    """What may be missing is there too: the photos of this set are stated in full."""
    for record in records:
        assert record.keys() == {field.name for field in SAMPLE if field.when != OF_GIVEN}
        assert record["target"].keys() == names(TARGET)
        assert record["target"]["boxes"].keys() == names(BOXES)
        for reference in record["references"]:
            left_out = {OF_MADE_ELSEWHERE, OF_PHOTOS if "synthesis" in reference else OF_SYNTHESISED}
            assert reference.keys() == {field.name for field in (*FACE, *PAIR) if field.when not in left_out}
            if "synthesis" in reference:
                assert reference["synthesis"].keys() == names(SYNTHESIS)


def names(fields: tuple[Field, ...]) -> set[str]:
    return {field.name for field in fields}


@pytest.mark.parametrize("image_format", get_args(ImageFormat))
@pytest.mark.parametrize("recipe", ["gfpgan", "bicubic"])
def test_the_files_of_a_sample_are_those_that_are_defined(
    image_format: ImageFormat, recipe: Any, tmp_path: Path
) -> None:
    shard = replace(SMALL, image_format=image_format, recipe=recipe)
    for files in stored(make_set(tmp_path, shard, people=1, photos=3, references=2)):
        found = [file.find(files) for file in FILES if not file.numbered]
        found += [REFERENCE.find(files, number) for number in range(2)]
        assert sorted(map(str, found)) == list(files)
        assert [name.partition(".")[0] for name in files] == kinds_of(2)


def test_a_file_has_one_name_and_is_found_by_it() -> None:
    for file in all_files(masks=True):
        number = 3 if file.numbered else None
        for extension in file.extensions:
            assert file.find({file.name(extension, number): b""}, number) == file.name(extension, number)
        assert file.find({}, number) is None
        assert file.says(3).count("{") == 0
    assert REFERENCE.name("jpg", 12) == "ref12.jpg"


# ---------------------------------------------------------------- the checker


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to each value within a JSON."""
    if path:
        yield path
    items: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, inner in items:
        yield from places(inner, (*path, name))


def changed(record: Record, path: tuple[Any, ...], value: Any) -> Record:
    made: Any = copy.deepcopy(record)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return dict(made)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data(), value=ANY_JSON)
def test_whatever_stands_in_a_json_is_right_or_one_sentence(
    record: Record, data: st.DataObject, value: Any
) -> None:
    path = data.draw(st.sampled_from(list(places(record))))
    fault = json_fault(changed(record, path, value))
    if fault is not None:
        assert "\n" not in fault
        assert len(fault) < 400


@given(value=ANY_JSON)
def test_any_json_at_all_is_a_fault(value: Any) -> None:
    assert json_fault(value)


def fields_of(record: Record) -> list[tuple[tuple[Any, ...], Field]]:
    """Every field of a record with its path."""
    found: list[tuple[tuple[Any, ...], Field]] = [
        ((field.name,), field) for field in SAMPLE if field.name in record
    ]
    found += [(("target", field.name), field) for field in TARGET]
    found += [(("target", "boxes", field.name), field) for field in BOXES]
    for number, reference in enumerate(record["references"]):
        found += [
            (("references", number, field.name), field) for field in (*FACE, *PAIR) if field.name in reference
        ]
    found += [(("references", 0, "synthesis", field.name), field) for field in SYNTHESIS]
    return found


def test_null_another_type_and_what_is_not_defined_are_faults(record: Record) -> None:
    for path, field in fields_of(record):
        place = ".".join(map(str, path))
        for value in (None, True, 5 if isinstance(field.kind, Text | Object) else "five", float("nan"), [[]]):
            fault = json_fault(changed(record, path, value))
            assert fault is not None, (place, value)
            assert fault.startswith(place)
    for path in ((), ("target",), ("target", "boxes"), ("references", 1), ("references", 0, "synthesis")):
        assert "has the unknown field 'new'" in str(json_fault(changed(record, (*path, "new"), 1)))


def test_what_is_always_there_is_missed(record: Record) -> None:
    for path, field in fields_of(record):
        without = copy.deepcopy(record)
        inner: Any = without
        for step in path[:-1]:
            inner = inner[step]
        del inner[path[-1]]
        needed = field.when in ("", OF_PHOTOS)
        assert (json_fault(without) == f"{'.'.join(map(str, path))} is missing") == needed or path[
            -1
        ] == "synthesis"


@pytest.mark.parametrize(
    ("path", "inside", "outside"),
    [
        (("target", "yaw"), [-180, 180.0, 0], [-180.1, 181, 1e300, 10**400]),
        (("target", "crop_size"), [1, 4096], [0, 4097, 64.0]),
        (
            ("target", "landmarks"),
            [[[0, 1e6]] * 68],
            [[[0, 1.1e6]] * 68, [[0, -(2**63)]] * 68, [[0, 1]] * 67],
        ),
        (("target", "embedding"), [[1], [0.6, -0.8]], [[], [1, 1], [0.0] * 4, [1.0] + [0.0] * 4096]),
        (("target", "boxes", "mouth"), [[0, 1, 2, 3]], [[0, 1, 2], [[0, 1, 2, 3]]]),
        (("references", 2, "rank"), [0, 63], [-1, 64]),
        (("references", 2, "similarity"), [-1, 1, 1.0000001], [1.1, -2]),
        (("references", 0, "synthesis", "gain"), [0.6, 1.6], [0.59, 1.7]),
        (("key",), ["a-0", "x" * 90], ["", "a.b", "../a", "x" * 91, "a\n"]),
        (("split",), ["train", "val", "test"], ["extra", ""]),
        (("identity",), ["é" * 1024], ["", "x" * 1025]),
        (("target", "image"), ["0" * 64], ["0" * 63, "G" * 64]),
        (("theta",), [[], [{"op": "gray"}] * 200], [[{"op": "gray"}] * 201, [{"op": "melt"}], {}]),
    ],
)
def test_the_ends_of_ranges_are_in_and_what_lies_beyond_is_out(
    record: Record, path: tuple[Any, ...], inside: list[Any], outside: list[Any]
) -> None:
    assert {json_fault(changed(record, path, value)) for value in inside} == {None}
    assert None not in {json_fault(changed(record, path, value)) for value in outside}


def test_more_references_than_allowed_are_a_fault(record: Record) -> None:
    photo = record["references"][2]
    assert json_fault(record | {"references": [photo] * 64}) is None
    assert (
        json_fault(record | {"references": [photo] * 65}) == "references is a list of at most 64, not of 65"
    )


def test_verify_finds_a_field_of_another_type_or_range(tmp_path: Path) -> None:
    make_set(tmp_path / "build", people=4)

    def change(_: Record, files: Files) -> None:
        record = read_json(files["json"])
        record["references"][0]["pose_gap"] = 1000.0
        files["json"] = json.dumps(record).encode()

    rewrite(tmp_path / "build", a_shard(tmp_path / "build").stem, change)
    (line,) = check(tmp_path / "build")
    assert "references.0.pose_gap is a number (0 to 360), not 1000.0" in line


@pytest.mark.parametrize("data", [b" " * (MAX_JSON_BYTES + 1), b"[" * 100_000, b"\xff", b"[]", b"", b"null"])
def test_bytes_that_are_no_json_of_a_sample_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^the JSON ") as raised:
        read_json(data)
    assert "\n" not in str(raised.value)


# ---------------------------------------------------------------- what must agree with it


def test_the_columns_of_the_plan_are_those_of_the_tables() -> None:
    for name, column in FACE_IN_SAMPLE:
        table = next((one for one in (FACES, LABELS, SOURCES) if name in one.names), LABELS)
        assert table.field(name).type == column
    assert [(name, PAIRS.field(name).type) for name, _ in PAIR_IN_SAMPLE] == PAIR_IN_SAMPLE


def test_the_longest_theta_that_a_recipe_draws_is_within_the_limit() -> None:
    everything = Pass(
        blur=RandomBlur(),
        resize=RandomResize(reduction=Range(1, 1.2)),
        noise=RandomNoise(),
        colour=RandomColour(shift_chance=1.0, gray_chance=1.0, jitter_chance=1.0),
        jpeg_quality=IntRange(60, 95),
    )
    recipe = Recipe("longest", (everything,) * 8, FinalPass(sinc_chance=1.0))
    assert 80 <= max(len(draw(recipe, seed, 512)) for seed in range(20)) <= MAX_OPERATIONS


def test_boxes_and_formats_are_those_of_the_stages() -> None:
    landmarks = np.random.default_rng(0).uniform(0, 64, (68, 2))
    assert list(component_boxes(landmarks, 64)) == [field.name for field in BOXES]
    assert set(IMAGE_TYPES) == set(get_args(ImageFormat))


def test_embeddings_as_long_as_the_limit_are_read() -> None:
    vector = UnitVector(4096).array("embedding", [1.0] + [0.0] * 4095)
    assert (vector.shape, vector.dtype) == ((4096,), np.float32)


def test_the_definitions_are_light() -> None:
    heavy = "{'torch', 'pydantic', 'pyarrow', 'PIL'}"
    code = (
        f"import sys, facerefs.schemas.sample, facerefs.schemas.manifest; print({heavy} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
