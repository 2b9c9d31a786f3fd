"""Files of weights that are damaged, foreign or malicious end in a sentence."""

import io
import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from facerefs.stages.engines import torch_file
from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.torch_file import fill, read_tensors


def _saved(state: Any, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def _network() -> nn.Module:
    return nn.Conv2d(3, 4, 3)


@pytest.mark.parametrize("legacy", [False, True])
def test_floating_tensors_come_back_and_nothing_else_does(tmp_path: Path, legacy: bool) -> None:
    file = tmp_path / "x.pth"
    state = {"a": torch.rand(3), "half": torch.rand(2).half(), "count": torch.tensor(4), "epoch": 3}
    file.write_bytes(_saved(state, legacy))
    found = read_tensors(file, "X")
    assert set(found) == {"a", "half"}
    assert torch.equal(found["a"], state["a"])


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("was-run",)


FOREIGN = {
    "nothing": b"",
    "a web page": b"<!DOCTYPE html><html>not found</html>",
    "code": pickle.dumps({"a": _Evil()}),
    "code in a zip": _saved({"a": _Evil()}),
    "a list": _saved([torch.rand(2)]),
    "a tensor": _saved(torch.rand(2)),
    "a number": pickle.dumps(4),
    "numbered tensors": _saved({0: torch.rand(2)}),
    "a module": _saved(_network()),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_told_and_runs_no_code(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "x.pth"
    file.write_bytes(FOREIGN[kind])
    with pytest.raises(MissingWeights, match=r"x\.pth holds no weights of X: "):
        read_tensors(file, "X")
    assert [path.name for path in tmp_path.iterdir()] == ["x.pth"]


def test_another_zip_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(MissingWeights, match="torch cannot read it"):
        read_tensors(file, "X")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_damaged_file_is_read_or_told_but_never_raises_anything_else(tmp_path: Path, legacy: bool) -> None:
    whole = _saved(_network().state_dict(), legacy)
    rng = random.Random(7)
    file = tmp_path / "x.pth"
    told = 0
    for _ in range(80):
        data = bytearray(whole)
        if rng.random() < 0.4:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.choice((0, 1, 4))):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        file.write_bytes(data)
        network = _network()
        try:
            fill(network, read_tensors(file, "X"), "it does not fit")
        except MissingWeights:
            told += 1
    assert told > 30


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "x.pth"
    with file.open("wb") as sparse:
        sparse.truncate(3 << 30)
    with pytest.raises(MissingWeights, match="larger than 2147483648 bytes"):
        read_tensors(file, "X")


def test_a_file_that_would_unpack_to_something_huge_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_file, "MOST_BYTES", 1 << 20)
    file = tmp_path / "x.pth"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(2 << 20))
    assert file.stat().st_size < 1 << 14
    with pytest.raises(MissingWeights, match="larger than"):
        read_tensors(file, "X")


def test_an_endless_view_of_one_number_is_refused_by_its_shape() -> None:
    tensors = {"weight": torch.zeros(1).expand(1 << 40), "bias": torch.zeros(4)}
    with pytest.raises(MissingWeights, match=r"weight has shape \(1099511627776,\), not \(4, 3, 3, 3\)"):
        fill(_network(), tensors, "it does not fit")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bias": None}, "it has no bias"),
        ({"bias": torch.zeros(5)}, r"bias has shape \(5,\), not \(4,\)"),
        ({"bias": torch.tensor([1.0, 2, float("nan"), 3])}, "bias is not finite"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(change: dict[str, Any], said: str) -> None:
    network = _network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tensors = {**{name: value + 1 for name, value in before.items()}, **change}
    with pytest.raises(MissingWeights, match=f"^it is wrong: {said}$"):
        fill(network, {name: v for name, v in tensors.items() if v is not None}, "it is wrong")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_what_nobody_asks_for_is_left_out() -> None:
    network = _network()
    wanted = {name: torch.rand_like(value).half() for name, value in network.state_dict().items()}
    fill(network, {**wanted, "classifier.0.weight": torch.zeros(9)}, "it is wrong")
    assert torch.equal(network.state_dict()["weight"], wanted["weight"].float())
