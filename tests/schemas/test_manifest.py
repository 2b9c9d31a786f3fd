"""Manifests: what is written is read again, what was changed is not, and a stranger's text costs one sentence."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerefs.schemas import manifest as definition
from facerefs.schemas.manifest import File, Manifest, ShardFile, parse, parse_shards, written
from facerefs.schemas.sample import VERSION

SHA256 = hashlib.sha256(b"x").hexdigest()


def shard(name: str = "train-00000", **changes: Any) -> ShardFile:
    index = File(f"{name}.parquet", 20, SHA256)
    return replace(ShardFile(f"{name}.tar", name.partition("-")[0], 3, 10_240, SHA256, index), **changes)


MANIFEST = Manifest(
    version=VERSION,
    recipe={"name": "mild", "rounds": [{"sigma": 0.5}]},
    seed=7,
    shards=(shard(), shard("val-00000")),
    indexes_only=(File("test-00000.parquet", 5, SHA256),),
    documents=(File("photos.csv", 0, SHA256),),
)
BYTES = written(MANIFEST).encode()
Change = Callable[[dict[str, Any]], Any]


def test_what_is_written_is_read_again() -> None:
    assert parse(BYTES) == MANIFEST
    assert written(parse(BYTES)).encode() == BYTES
    assert parse_shards(BYTES) == MANIFEST.shards


def test_the_fingerprint_is_of_all_other_lines() -> None:
    tree = json.loads(BYTES)
    assert tree.pop("fingerprint") == MANIFEST.fingerprint
    text = json.dumps(tree, indent=1, sort_keys=True) + "\n"
    assert hashlib.sha256(text.encode()).hexdigest() == MANIFEST.fingerprint
    assert replace(MANIFEST, seed=8).fingerprint != MANIFEST.fingerprint


def sealed(change: Change) -> bytes:
    """The manifest with a change, and a fingerprint that agrees with it."""
    tree = json.loads(BYTES)
    change(tree)
    tree.pop("fingerprint", None)
    text = json.dumps(tree, indent=1, sort_keys=True) + "\n"
    tree["fingerprint"] = hashlib.sha256(text.encode()).hexdigest()
    return (json.dumps(tree, indent=1, sort_keys=True) + "\n").encode()


def test_sealed_is_what_a_forger_would_do() -> None:
    assert sealed(lambda tree: None) == BYTES
    assert parse(sealed(lambda tree: tree.update(seed=8))).seed == 8


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tree: tree.pop("seed"), "seed is missing"),
        (lambda tree: tree.update(more=1), "has the unknown field 'more'"),
        (lambda tree: tree.update(seed=True), r"seed is a whole number \(from 0\), not True"),
        (lambda tree: tree.update(recipe=1), "recipe is an object"),
        (lambda tree: tree.update(recipe=[{}]), "recipe is a list of at least 2"),
        (lambda tree: tree.update(recipe=[{}, 1]), "recipe.1 is an object"),
        (lambda tree: tree.update(shards={}), "shards is a list"),
        (lambda tree: tree["shards"][1].update(name="../../etc/passwd"), "shards.1.name is a text"),
        (lambda tree: tree["shards"][1].update(name="/etc/a.tar"), "shards.1.name is a text"),
        (lambda tree: tree["shards"][1].update(name=".tar"), "shards.1.name is a text"),
        (lambda tree: tree["shards"][0].update(bytes=1 << 70), "shards.0.bytes is a whole number"),
        (lambda tree: tree["shards"][0].update(bytes=-1), "shards.0.bytes is a whole number"),
        (lambda tree: tree["shards"][0].update(samples=1.0), "shards.0.samples is a whole number"),
        (lambda tree: tree["shards"][0].update(sha256=SHA256.upper()), "shards.0.sha256 is a text"),
        (lambda tree: tree["shards"][0]["index"].pop("sha256"), "shards.0.index.sha256 is missing"),
        (lambda tree: tree["shards"][0]["index"].update(name="val-00000.parquet"), "the index of another"),
        (lambda tree: tree["shards"].append(tree["shards"][0]), "names a file twice"),
        (lambda tree: tree["documents"].append(tree["shards"][0]["index"]), "the index of another"),
        (lambda tree: tree["shards"][0].update(split="val"), "of another split"),
        (lambda tree: tree["documents"][0].update(name="..\\x"), "documents.0.name is a text"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused_though_its_fingerprint_agrees(
    change: Change, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence) as raised:
        parse(sealed(change))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "data",
    [
        BYTES.replace(b'"seed": 7', b'"seed": 8'),
        BYTES.replace(b"\n", b"\r\n"),
        BYTES.replace(b'"seed": 7', b'"seed":  7'),
        BYTES.replace(b'"seed": 7', b'"seed": 1,\n "seed": 7'),
        BYTES.replace(b"0.5", b"0.50"),
        BYTES + b"\n",
    ],
)
def test_a_manifest_that_was_changed_is_refused(data: bytes) -> None:
    assert data != BYTES
    with pytest.raises(ValueError, match="was changed after it was written"):
        parse(data)


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"1e999", b"[" * 700 + b"]" * 700])
def test_numbers_and_depths_that_no_recipe_has_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="is no manifest of"):
        parse(BYTES.replace(b"0.5", value))


@pytest.mark.parametrize("version", [1, 3, 10**400])
def test_a_manifest_of_another_version_is_named_as_one_and_its_shards_are_read(version: int) -> None:
    data = sealed(lambda tree: tree.update(version=version))
    with pytest.raises(ValueError, match=r"^has version .* of another version of facerefs") as raised:
        parse(data)
    assert len(str(raised.value)) < 200
    assert parse_shards(data) == MANIFEST.shards


def test_whoever_reads_shards_needs_nothing_else() -> None:
    def change(tree: dict[str, Any]) -> None:
        tree.clear()
        tree |= {"shards": [json.loads(BYTES)["shards"][0] | {"new": 1}], "new": {}}
        tree["shards"][0]["index"]["new"] = []

    assert parse_shards(sealed(change)) == MANIFEST.shards[:1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tree: tree.pop("shards"), "is no manifest of ours: shards is missing"),
        (lambda tree: tree.update(shards=["x"]), "is no manifest of ours: shards.0 is an object"),
        (lambda tree: tree["shards"][0].update(name="../x.tar"), "is no manifest of ours: shards.0.name"),
        (lambda tree: tree["shards"].append(tree["shards"][0]), "names a shard twice"),
        (lambda tree: tree["shards"][0]["index"].update(name="x.parquet"), "with the index of another"),
    ],
)
def test_shards_that_make_no_sense_are_refused(change: Change, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_shards(sealed(change))


@pytest.mark.parametrize("read", [parse, parse_shards])
def test_a_manifest_that_is_too_large_is_not_read(
    read: Callable[[bytes], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definition, "MAX_BYTES", len(BYTES) - 1)
    with pytest.raises(ValueError, match="is larger than"):
        read(BYTES)


@given(
    st.binary(max_size=200)
    | st.sampled_from([b"[" * 10_000, b"1e999", b'{"shards": 1}', b"null", b'{"version": 2}', b"\xff"])
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(json.loads(BYTES))), inner)
        ),
        max_leaves=12,
    ).map(lambda tree: json.dumps(tree).encode())
)
def test_any_bytes_are_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse(data)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


@given(st.integers(0, len(BYTES) - 1), st.integers(1, 255))
def test_a_byte_that_is_another_is_noticed(place: int, bits: int) -> None:
    data = bytearray(BYTES)
    data[place] ^= bits
    with pytest.raises(ValueError, match=r"."):
        parse(bytes(data))
