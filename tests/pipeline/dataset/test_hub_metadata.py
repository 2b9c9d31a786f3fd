"""What Hugging Face reads at the top of the dataset card: `datasets` itself loads the sets."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
import yaml

from facerefs.pipeline.dataset import card
from facerefs.pipeline.dataset.hub_metadata import licence_identifier
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.manifest import parse
from facerefs.schemas.tables import IMAGES
from tests.pipeline.small_set import SMALL, Files, face_id, files_of, make_set, rewrite


def metadata(samples: Path) -> Any:
    """The YAML at the top of the card."""
    return yaml.safe_load((samples / "README.md").read_text().split("---\n")[1])


def stored(samples: Path) -> dict[str, Files]:
    return {key: files for tar in samples.glob("*.tar") for key, files in files_of(tar).items()}


def loaded(samples: Path, cache: Path) -> dict[str, dict[str, Any]]:
    """The samples as `load_dataset("set/samples")` gives them, by key."""
    splits = datasets.load_dataset(str(samples), cache_dir=str(cache))
    return {sample["__key__"]: sample for split in splits.values() for sample in split}


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def check(samples: Path, cache: Path) -> None:
    """Whether `datasets` gives the samples that lie there, with all that their JSON says."""
    files, found = stored(samples), loaded(samples, cache)
    assert set(found) == set(files)
    for key, sample in found.items():
        assert without_nulls(sample["json"]) == json.loads(files[key]["json"])


def test_two_sets_of_the_same_name_and_a_set_made_again_share_a_cache(tmp_path: Path) -> None:
    first = make_set(tmp_path / "a")
    second = make_set(tmp_path / "b", replace(SMALL, recipe="gfpgan_colour"))
    (first_matter, second_matter) = (metadata(first), metadata(second))
    for matter in (first_matter, second_matter):
        matter["configs"][0].pop("description")
    assert first_matter == second_matter  # but for the fingerprint, nothing in the card would tell them apart
    for samples in (first, second, first):
        check(samples, tmp_path / "cache")
    shutil.rmtree(tmp_path / "a")
    check(make_set(tmp_path / "a", replace(SMALL, recipe="gfpgan_colour"), photos=3), tmp_path / "cache")


def test_fields_and_references_of_later_samples_are_not_lost(tmp_path: Path) -> None:
    """`datasets` would guess the features from the first five samples, and refuse others, or drop what is new."""
    samples = make_set(tmp_path, replace(SMALL, recipe="posevaried", shard_mb=10), people=30, photos=2)

    def lose_reference(row: dict[str, Any], files: Files) -> None:
        row["references"] = []
        del files["ref0.jpg"]
        files["json"] = json.dumps(json.loads(files["json"]) | {"references": []}).encode()

    rewrite(tmp_path, "train-00000", lose_reference, samples=3)
    check(samples, tmp_path / "cache")
    lacking = [
        key for key, sample in loaded(samples, tmp_path / "cache").items() if sample["ref0.jpg"] is None
    ]
    assert len(lacking) == 3


def test_the_card_names_the_set_and_changes_with_it(tmp_path: Path) -> None:
    samples = make_set(tmp_path)
    first = parse((samples / "manifest.json").read_bytes()).fingerprint
    (config,) = metadata(samples)["configs"]
    assert config["description"] == f"fingerprint {first}"
    rewrite(tmp_path, "train-00000", lambda row, files: files.update({"gt.jpg": files["gt.jpg"] + b"\0"}))
    second = parse((samples / "manifest.json").read_bytes()).fingerprint
    (config,) = metadata(samples)["configs"]
    assert second != first
    assert config["description"] == f"fingerprint {second}"
    names = [feature["name"] for feature in metadata(samples)["dataset_info"]["features"]]
    assert names == ["gt.jpg", "lq.jpg", "json", "ref0.jpg", "__key__", "__url__"]


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (["CC0"] * 4, "cc0-1.0"),
        (["CC BY 4.0 https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"] * 2, "cc-by-4.0"),
        ([None] * 4, "unknown"),
        (["CC0", None, "CC0", "CC0"], "other"),
        (["CC0", "CC BY 4.0", "CC0", "CC0"], "other"),
        (["mine"] * 4, "other"),
    ],
)
def test_the_licence_is_that_of_the_photos_if_all_have_the_same(
    licences: list[str | None], expected: str, tmp_path: Path
) -> None:
    make_set(tmp_path, people=2)
    storage = Storage(str(tmp_path))
    rows = storage.scan("sources").to_pylist()
    with storage.writing("sources", "part-a", "fingerprint") as part:
        listed = [row | {"licence": licence} for row, licence in zip(rows, licences, strict=True)]
        part.add(pa.Table.from_pylist(listed, storage.scan("sources").schema))
    with storage.writing("images", "part-a", "fingerprint") as part:
        blank = dict.fromkeys(IMAGES.names)
        photos = [
            blank | {"key": f"person {person}/{number}.jpg", "id": face_id(person, number)}
            for person in range(2)
            for number in range(2)
        ]
        part.add(pa.Table.from_pylist(photos, IMAGES))
    card.write(storage, SMALL)
    matter = metadata(tmp_path / "samples")
    assert matter["license"] == expected
    assert ("photos.csv" in matter.get("license_details", "")) == (expected == "other")


@pytest.mark.parametrize(
    ("licence", "identifier"),
    [
        ("CC BY-SA 4.0", "cc-by-sa-4.0"),
        ("CC BY-SA 4.0 https://creativecommons.org/licenses/by-sa/4.0", "cc-by-sa-4.0"),
        ("https://creativecommons.org/licenses/by-nc-nd/3.0/legalcode.txt", "cc-by-nc-nd-3.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/deed.en", "cc0-1.0"),
        ("CC0 1.0", "cc0-1.0"),
        ("CC BY-SA 3.0 de https://creativecommons.org/licenses/by-sa/3.0/de/deed.en", None),  # other terms
        ("CC BY 1.0", None),
        ("CC BY", None),
        ("Public domain", None),
        ("all rights reserved", None),
    ],
)
def test_a_licence_has_the_identifier_of_the_hub(licence: str, identifier: str | None) -> None:
    assert licence_identifier(licence) == identifier
