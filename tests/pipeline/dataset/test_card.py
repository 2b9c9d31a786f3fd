"""The manifest holds what lies on the disk, and the card is Markdown that no stranger's text can break."""

import csv
import hashlib
import json
import re
from collections import Counter
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from facerefs.pipeline.config.config import read_config
from facerefs.pipeline.dataset import card
from facerefs.pipeline.dataset.manifest import recipes_of
from facerefs.pipeline.storage.fingerprint import stage_digest
from facerefs.pipeline.storage.folder import Storage
from facerefs.schemas.manifest import parse, written
from facerefs.schemas.reject import Reject
from facerefs.schemas.tables import BUNDLE, TABLES
from facerefs.stages.degrade.recipes import RECIPES, Recipe
from facerefs.stages.shard import Shard
from tests.pipeline.folders import contents

HOSTILE = [
    "CC BY | 4.0 | 17",
    "two\nlines\r\nthen\u2028three",
    "---\nconfigs: []\n---\n# Mine",
    "\n\n</table><script>alert(1)</script>",
    "<!-- ",
    "`|` and ``` and \\",
    "|---|---|",
    "",
]
SHARDS = {  # by name: who each sample shows, and whether it was rejected
    "train-00000": [("ann", False), ("ann", True), ("bob", False)],
    "train-00001": [("cid", False)],
    "val-00000": [("dan", False), ("dan", True)],
    "test-00000": [("eve", True)],  # so it has no tar
}


def add(storage: Storage, table: str, rows: list[dict[str, Any]], part: str = "part-a") -> None:
    schema = TABLES[table]
    if table == "samples":
        schema = schema.set(schema.get_field_index("files"), pa.field("files", BUNDLE))
    whole = [dict.fromkeys(schema.names) | row for row in rows]
    with storage.writing(table, part, "fingerprint") as writer:
        writer.add(pa.Table.from_pylist(whole, schema))


def add_photos(storage: Storage, licences: list[str | None]) -> None:
    listed = [
        {"key": f"{i}.jpg", "licence": text, "attribution": f"Author, the {i}th"}
        for i, text in enumerate(licences)
    ]
    add(storage, "sources", [*listed, {"key": "gone.jpg", "licence": "of a rejected photo"}])
    rows = [{"key": f"{i}.jpg", "id": f"{i:064x}"} for i in range(len(licences))]
    add(storage, "images", [*rows, {"key": "gone.jpg", "reject": Reject.TOO_SMALL}])


def add_sample_shard(storage: Storage, name: str, people: list[tuple[str, bool]]) -> None:
    rows = []
    for i, (person, rejected) in enumerate(people):
        key = f"{name}-{i}"
        row: dict[str, Any] = {
            "key": key,
            "split": name.partition("-")[0],
            "identity": person,
            "target": f"{person}-{i}",
        }
        row |= {"references": ["a", "b"]}
        files = [{"name": f"{key}.gt.png", "data": key.encode() * 99}, {"name": f"{key}.json", "data": b"{}"}]
        rows.append({**row, "reject": Reject.CHANGED} if rejected else {**row, "files": files})
    add(storage, "samples", rows, name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build's folder with a card; `faces`, `identities` and `pairs` hold what the card counts."""
    make(tmp_path)
    return tmp_path


def make(folder: Path, seed: int = 7) -> None:
    storage = Storage(str(folder))
    add_photos(storage, ["CC0", None, "of a photo that is in no sample"])
    face = {"crop_size": 512, "detector": "dlib-hog", "embedder": "arcface:w600k"}
    faces = [{"id": "a", "key": "0.jpg"}, {"id": "b", "key": "1.jpg", "reject": Reject.FACE_BLURRED}]
    add(storage, "faces", [face | one for one in faces])
    add(storage, "identities", [{"face": "a", "identity": "ann"}])
    add(storage, "pairs", [{"target": "a", "reference": "b"}, {"target": "b", "reject": Reject.NO_REFERENCE}])
    for name, people in SHARDS.items():
        add_sample_shard(storage, name, people)
    card.write(storage, Shard(recipe="refine", seed=seed))


def split_card(text: str) -> tuple[Any, list[Token]]:
    """The front matter, and the Markdown as a parser that is not ours reads it."""
    assert text.startswith("---\n")
    end = text.index("\n---\n")
    return yaml.safe_load(text[4:end]), MarkdownIt("commonmark").enable("table").parse(text[end + 5 :])


def headings(tokens: list[Token]) -> list[str]:
    return [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]


def table_below(heading: str, tokens: list[Token]) -> list[list[str]]:
    """The cells of the only table below a heading, without its head."""
    rows: list[list[str]] = []
    below = ""
    for token, after in pairwise(tokens):
        if token.type == "heading_open":
            below = after.content
        elif below == heading and token.type == "tr_open":
            rows.append([])
        elif below == heading and token.type in ("th_open", "td_open"):
            rows[-1].append(after.content)
    return rows[1:]


def facts(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"name": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_the_manifest_holds_the_files_that_are_there(folder: Path) -> None:
    samples = folder / "samples"
    manifest = json.loads((samples / "manifest.json").read_text())
    assert (manifest["recipe"]["name"], manifest["seed"]) == ("refine", 7)
    assert manifest["shards"] == [
        facts(path)
        | {
            "split": path.name.partition("-")[0],
            "samples": sum(not rejected for _, rejected in SHARDS[path.stem]),
            "index": facts(path.with_suffix(".parquet")),
        }
        for path in sorted(samples.glob("*.tar"))
    ]
    assert [shard["name"] for shard in manifest["shards"]] == [
        "train-00000.tar",
        "train-00001.tar",
        "val-00000.tar",
    ]
    assert manifest["indexes_only"] == [facts(samples / "test-00000.parquet")]
    assert manifest["documents"] == [facts(samples / name) for name in ("photos.csv", "croissant.json")]


def test_the_fingerprint_is_of_all_that_the_manifest_says(folder: Path, tmp_path_factory: Any) -> None:
    text = (folder / "samples/manifest.json").read_text()
    tree = json.loads(text)
    fingerprint = tree.pop("fingerprint")
    whole = json.dumps(tree, indent=1, sort_keys=True) + "\n"
    assert fingerprint == hashlib.sha256(whole.encode()).hexdigest()
    assert written(parse(text.encode())) == text
    other = tmp_path_factory.mktemp("other")
    make(other, seed=8)
    assert parse((other / "samples/manifest.json").read_bytes()).fingerprint != fingerprint


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_manifest_and_card_hold_the_recipe_as_a_configuration_takes_it(
    recipe: Recipe, tmp_path: Path
) -> None:
    card.write(Storage(str(tmp_path)), Shard(recipe=recipe))
    assert recipes_of(parse((tmp_path / "samples/manifest.json").read_bytes())) == (recipe,)
    _, tokens = split_card((tmp_path / "samples/README.md").read_text())
    (block,) = [token.content for token in tokens if token.type == "fence" and token.info == "yaml"]
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump({"shard": {"recipe": yaml.safe_load(block)}}))
    assert read_config(config).shard.recipes == (recipe,)


def test_what_is_there_already_is_not_written_again(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder / "samples").iterdir()}
    card.write(Storage(str(folder)), Shard(recipe="refine", seed=7))
    assert {path: path.stat().st_mtime_ns for path in (folder / "samples").iterdir()} == before


def test_croissant_describes_the_shards_and_claims_no_licence(folder: Path) -> None:
    tree = json.loads((folder / "samples/croissant.json").read_text())
    files = {one["@id"]: one for one in tree["distribution"] if one["@type"] == "cr:FileObject"}
    tars = sorted((folder / "samples").glob("*.tar"))
    assert list(files) == ["photos.csv", *(path.name for path in tars)]
    for name, one in files.items():
        assert one["sha256"] == facts(folder / "samples" / name)["sha256"]
        assert one["contentSize"] == f"{(folder / 'samples' / name).stat().st_size} B"
    sets = {one["@id"]: one for one in tree["distribution"] if one["@type"] == "cr:FileSet"}
    assert [[tar["@id"] for tar in one["containedIn"]] for one in sets.values()] == [
        [path.name for path in tars]
    ] * 5
    assert {name: one["includes"] for name, one in sets.items()} == {
        "gt-files": "*.gt.jpg",
        "lq-files": "*.lq.jpg",
        "json-files": "*.json",
        "ref0-files": "*.ref0.jpg",
        "ref1-files": "*.ref1.jpg",
    }
    for records in tree["recordSet"]:
        key, content = records["field"]
        assert key["source"]["fileSet"] == content["source"]["fileSet"] == {"@id": f"{records['@id']}-files"}
        pattern = key["source"]["transform"]["regex"]
        assert re.match(pattern, "0123-0.ref0.jpg")[1] == "0123-0"  # type: ignore[index]
    assert [records["@id"] for records in tree["recordSet"]] == ["gt", "lq", "json", "ref0", "ref1"]
    assert "license" not in tree
    assert tree["description"].endswith(
        "Each photo has its own licence, see photos.csv (CC0: 1; not stated: 1)."
    )
    assert tree["conformsTo"] == "http://mlcommons.org/croissant/1.0"


def test_an_empty_build_has_an_empty_manifest_and_a_card(tmp_path: Path) -> None:
    card.write(Storage(str(tmp_path)), Shard())
    assert json.loads((tmp_path / "samples/manifest.json").read_text())["shards"] == []
    tree = json.loads((tmp_path / "samples/croissant.json").read_text())
    assert ([one["@id"] for one in tree["distribution"]], tree["recordSet"]) == (["photos.csv"], [])
    matter, tokens = split_card((tmp_path / "samples/README.md").read_text())
    assert matter["configs"][0]["data_files"] == []
    assert headings(tokens)[0] == "Faces with references"


def test_the_front_matter_names_the_splits_that_exist(folder: Path) -> None:
    matter, _ = split_card((folder / "samples/README.md").read_text())
    files = {entry["split"]: entry["path"] for entry in matter["configs"][0]["data_files"]}
    tars = [path.name for path in sorted((folder / "samples").glob("*.tar"))]
    assert {split: [name for name in tars if fnmatch(name, path)] for split, path in files.items()} == {
        "train": ["train-00000.tar", "train-00001.tar"],
        "validation": ["val-00000.tar"],
    }
    assert matter["size_categories"] == ["n<1K"]


def test_the_card_counts_what_was_not_rejected(folder: Path) -> None:
    _, tokens = split_card((folder / "samples/README.md").read_text())
    rows = {row[0]: row[1:] for row in table_below("Faces with references", tokens)}
    sizes = {path.stem: path.stat().st_size for path in (folder / "samples").glob("*.tar")}
    assert rows == {  # samples, people, shards, bytes
        "train": ["3", "3", "2", str(sizes["train-00000"] + sizes["train-00001"])],
        "val": ["1", "1", "1", str(sizes["val-00000"])],
        "test": ["0", "0", "0", "0"],
    }
    assert ["analyse", "2", "1", "face_blurred 1"] in table_below("How it was made", tokens)
    assert ["shard", "7", "3", "changed 3"] in table_below("How it was made", tokens)
    assert table_below("Licences of the photos", tokens) == [["CC0", "1"], ["not stated by the source", "1"]]


def test_each_photo_of_the_shards_is_credited(folder: Path) -> None:
    with (folder / "samples/photos.csv").open(newline="") as file:
        photos = list(csv.DictReader(file))
    assert [(photo["key"], photo["author"], photo["licence"]) for photo in photos] == [
        ("0.jpg", "Author, the 0th", "CC0"),
        ("1.jpg", "Author, the 1th", ""),
    ]
    _, tokens = split_card((folder / "samples/README.md").read_text())
    assert table_below("Authors of the photos", tokens) == [
        ["Author, the 0th", "1"],
        ["Author, the 1th", "1"],
    ]


def test_a_strangers_text_does_nothing_in_a_spreadsheet_and_little_in_markdown(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    photo = {"licence": "@SUM(1)\n2", "attribution": "=1+1", "page": "javascript:alert(1)"}
    other = {"attribution": "Conan O'Brien & <b>", "url": "http://a.example/1.jpg"}
    add(storage, "sources", [{"key": "0.jpg", **photo}, {"key": "1.jpg", **other}])
    add(storage, "images", [{"key": f"{i}.jpg", "id": str(i) * 64} for i in range(2)])
    add(storage, "faces", [{"id": "a", "key": "0.jpg"}, {"id": "b", "key": "1.jpg"}])
    add(storage, "samples", [{"key": "s", "target": "a", "references": ["b"]}])
    card.write(storage, Shard())
    with (tmp_path / "samples/photos.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["author"], first["licence"], first["page"]) == ("'=1+1", "'@SUM(1) 2", "")
    assert (second["author"], second["url"]) == ("Conan O'Brien & <b>", "http://a.example/1.jpg")
    assert "| Conan O'Brien &amp; &lt;b&gt; | 1 |" in (tmp_path / "samples/README.md").read_text()


def test_the_same_tables_give_the_same_bytes_elsewhere(folder: Path, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    make(elsewhere)
    assert contents(elsewhere) == contents(folder)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("ab|-\n\r\t\x0b\x85\u2028\\`<>!/#*_[]()&: ", max_size=25), max_size=6))
@example(HOSTILE)
def test_a_licence_stays_one_line_of_its_table(licences: list[str]) -> None:
    with TemporaryDirectory() as folder:
        storage = Storage(folder)
        add_photos(storage, [*licences, *licences])
        faces = [{"id": f"{i}", "key": f"{i}.jpg"} for i in range(2 * len(licences))]
        add(storage, "faces", faces)
        add(storage, "samples", [{"key": "s", "target": "0", "references": [face["id"] for face in faces]}])
        card.write(storage, Shard())
        matter, tokens = split_card((Path(folder) / "samples/README.md").read_text())
    rows = table_below("Licences of the photos", tokens)
    assert sorted(row[1] for row in rows) == sorted(
        str(2 * count) for count in Counter(text or "not stated by the source" for text in licences).values()
    )
    assert all(len(row) == 2 for row in rows)
    assert headings(tokens) == [
        "Faces with references",
        "A sample",
        "The JSON of a sample",
        "Use",
        "How it was made",
        "Degradation",
        "Licences of the photos",
        "Authors of the photos",
        "People",
        "Removal",
    ]
    inner = [child.type for token in tokens for child in token.children or []]
    assert not [kind for kind in [*inner, *(token.type for token in tokens)] if kind.startswith("html_")]
    assert matter["configs"][0]["data_files"] == []


def test_the_card_names_whom_to_ask_for_removal(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    card.write(storage, Shard())
    assert "Nobody is named here" in (tmp_path / "samples/README.md").read_text()
    card.write(storage, Shard(contact="Ann <ann@example.org> [x](http://y)"))
    text = (tmp_path / "samples/README.md").read_text()
    assert r"write to Ann &lt;ann@example.org&gt; \[x\]\(http://y\)." in text
    assert "facerefs purge" in text


@pytest.mark.parametrize(
    ("contact", "link"),
    [
        ("https://example.org/remove_me?a=1&b=2", "https://example.org/remove_me?a=1&b=2"),
        ("ann_b@example.org", "mailto:ann_b@example.org"),
        ("javascript:alert(1)", None),
        ("https://a.org/><script>alert(1)</script>", None),
        ("[x](https://a.org)", None),
        ("<img src=x onerror=alert(1)@a.org>", None),
    ],
)
def test_only_an_address_becomes_a_link(tmp_path: Path, contact: str, link: str | None) -> None:
    card.write(Storage(str(tmp_path)), Shard(contact=contact))
    text = (tmp_path / "samples/README.md").read_text().partition("## Removal")[2]
    (inner, *_) = (one.children or [] for one in MarkdownIt().parse(text) if one.type == "inline")
    kinds = {one.type for one in inner}
    links = [one.attrs["href"] for one in inner if one.type == "link_open"]
    assert links == ([link] if link else [])
    assert not kinds & {"html_inline", "image"}
    assert contact in "".join(one.content for one in inner)


@pytest.mark.parametrize("contact", ["", "  ", "a\nb", "x" * 201])
def test_a_contact_is_one_line(contact: str) -> None:
    with pytest.raises(ValueError, match="contact is one line"):
        Shard(contact=contact)


def test_a_contact_changes_no_shard() -> None:
    assert stage_digest(Shard(contact="ann@example.org")) == stage_digest(Shard())
