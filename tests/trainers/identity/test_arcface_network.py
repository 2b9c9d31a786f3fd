"""ONNX networks in torch against the production engine, which runs them by onnxruntime."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.insightface import ArcFace
from facerefs.stages.faces import geometry
from facerefs.trainers.identity.arcface import ArcFaceNetwork, load_arcface
from tests.trainers.identity.conftest import Faces
from tests.trainers.identity.onnx_embedder import save, write_embedder

FLOAT = np.float32


def crops_of(faces: Faces, side_px: int = 112) -> list[np.ndarray]:
    target = geometry.arcface_points(side_px)
    return [
        geometry.warp(
            pixels, geometry.similarity_between(geometry.five_points(points), target), side_px
        ).pixels
        for pixels, points in zip(faces.pixels, faces.points, strict=True)
    ]


def embedded(network: ArcFaceNetwork, crops: list[np.ndarray]) -> np.ndarray:
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        return torch.nn.functional.normalize(network(images)).numpy()


@pytest.mark.parametrize("normalises", [False, True])
@pytest.mark.parametrize("batch", [1, "batch"])
def test_a_batch_gives_what_the_engine_gives_face_by_face(
    tmp_path: Path, aligned_faces: Faces, batch: int | str, normalises: bool
) -> None:
    path = write_embedder(tmp_path / "small.onnx", batch, normalises)
    engine = ArcFace(str(path), "cpu")
    network, stem = load_arcface(str(path))
    expected = [
        engine.embed_chips([engine.chip(*face)])[0]
        for face in zip(aligned_faces.pixels, aligned_faces.points, strict=True)
    ]
    np.testing.assert_allclose(embedded(network, crops_of(aligned_faces)), expected, atol=1e-5)
    assert (stem, network.side_px, network.dimensions) == ("small", 112, 16)
    assert np.ptp(expected, axis=0).max() > 0.01  # the faces differ


def test_of_a_folder_the_network_for_recognition_is_taken(tmp_path: Path) -> None:
    write_embedder(tmp_path / "a_landmarks.onnx", side=192)
    write_embedder(tmp_path / "b_attributes.onnx", side=96)
    write_embedder(tmp_path / "c_faces.onnx")
    assert load_arcface(str(tmp_path))[1] == "c_faces"
    (tmp_path / "c_faces.onnx").unlink()
    with pytest.raises(MissingWeights, match="holds no InsightFace model for recognition"):
        load_arcface(str(tmp_path))


def test_a_pack_is_found_where_insightface_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".insightface" / "models" / "some_pack"
    folder.mkdir(parents=True)
    write_embedder(folder / "w1.onnx")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_arcface("some_pack")[1] == "w1"
    with pytest.raises(MissingWeights, match="other_pack is neither an"):
        load_arcface("other_pack")


@pytest.mark.parametrize("length", [1, 50, 1000, -1])
def test_files_that_are_cut_off_are_refused(tmp_path: Path, length: int) -> None:
    path = write_embedder(tmp_path / "cut.onnx")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(MissingWeights, match=r"cut\.onnx"):
        load_arcface(str(path))


@pytest.mark.parametrize("data", [b"", b"no model", b"\x00" * 4096, bytes(range(256)) * 16])
def test_files_of_another_kind_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(data)
    with pytest.raises(MissingWeights, match=r"odd\.onnx"):
        load_arcface(str(path))


def test_weights_in_another_file_are_not_read(tmp_path: Path) -> None:
    path = write_embedder(tmp_path / "outside.onnx")
    (tmp_path / "secret.bin").write_bytes(np.zeros(10_000, FLOAT).tobytes())
    model = onnx.load(str(path))
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "matrix")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(MissingWeights, match=r"outside\.onnx cannot be made a torch network"):
        load_arcface(str(path))


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([helper.make_node("Loop", ["input"], ["output"], domain="odd")], "cannot be made a torch network"),
        ([helper.make_node("GlobalAveragePool", ["nothing"], ["output"])], "cannot be made a torch network"),
        (
            [helper.make_node("Relu", ["input"], ["output"])],
            r"two faces become an output of \(2, 3, 112, 112\)",
        ),
        (
            [
                helper.make_node("ReduceMean", ["input"], ["a"], axes=[0], keepdims=1),
                helper.make_node("Sub", ["input", "a"], ["b"]),
                helper.make_node("Flatten", ["b"], ["c"]),
                helper.make_node("MatMul", ["c", "matrix"], ["output"]),
            ],
            "depends on the other faces",
        ),
    ],
)
def test_networks_that_are_no_embedders_are_refused(
    tmp_path: Path, nodes: list[onnx.NodeProto], complaint: str
) -> None:
    matrix = np.random.default_rng(0).normal(size=(3 * 112 * 112, 4)).astype(FLOAT)
    path = save(tmp_path / "odd.onnx", nodes, {"matrix": matrix}, "batch", dimensions=4)
    with pytest.raises(MissingWeights, match=complaint):
        load_arcface(str(path))


@pytest.mark.shared
def test_a_real_network_gives_the_engines_embeddings_of_real_people(
    shared_faces: Path, shared_models: Path
) -> None:
    from PIL import Image

    paths = sorted((shared_faces / "aligned512").glob("*/*.png"))[::9]
    points = [
        np.loadtxt(shared_faces / "aligned512_landmarks" / path.parent.name / f"{path.name}.txt", dtype=FLOAT)
        for path in paths
    ]
    faces = Faces([np.asarray(Image.open(path).convert("RGB")) for path in paths], points)
    file = str(shared_models / "arcface_mobilefacenet_128d.onnx")
    engine, (network, _) = ArcFace(file, "cpu"), load_arcface(file)
    expected = [
        engine.embed_chips([engine.chip(*face)])[0] for face in zip(faces.pixels, faces.points, strict=True)
    ]
    cosines = (embedded(network, crops_of(faces)) * expected).sum(axis=1)
    assert cosines.min() > 0.9999
