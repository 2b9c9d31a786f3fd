"""GFPGAN's `FFHQDegradationDataset`: an LMDB of faces, and the file with the places of eyes and mouth.

GFPGAN finds a face's components by the number of the face in the list of its images. Of a folder it takes the images
in the order in which the file system names them, which is no order to rely on; of an LMDB it takes the order of
`meta_info.txt`. So the faces are in an LMDB.
"""

import io
from dataclasses import dataclass, field

import numpy as np

from facerefs.pipeline.export.export_folder import ExportFolder
from facerefs.pipeline.export.layout import Held, LayoutKind, SetFacts
from facerefs.pipeline.export.lmdb_file import LmdbFile
from facerefs.pipeline.export.read_set import SetSample
from facerefs.schemas.arrays import Float64s
from facerefs.trainers.stream.errors import BadSample

_PARTS = {"left_eye": slice(36, 42), "right_eye": slice(42, 48), "mouth": slice(48, 68)}
_LEAST_HALF_PX = 16  # of a face of 512 px
_USAGE = """\
In the options of GFPGAN (`type: FFHQDegradationDataset`), which makes its degraded faces itself; 512 is the side of the
faces:

```yaml
dataroot_gt: DIR/ffhq_512.lmdb
io_backend: {type: lmdb}
out_size: 512
crop_components: true
component_path: DIR/FFHQ_eye_mouth_landmarks_512.pth
dataset_enlarge_ratio: 1
num_worker_per_gpu: 6
```

Do not unpack the LMDB into a folder: the component file counts the faces in the order of `meta_info.txt`. GFPGAN
changes the places in memory when it mirrors a face or enlarges an eye, and they stay so. Its workers begin each pass
with the file's places: so let there be at least one worker, and no `dataset_enlarge_ratio` above 1.
"""


@dataclass
class GFPGAN:
    """Writes `ffhq_SIDE.lmdb` and `FFHQ_eye_mouth_landmarks_SIDE.pth`."""

    out: ExportFolder
    facts: SetFacts
    side_px: int = 0
    faces: LmdbFile | None = None
    components: dict[str, dict[str, Float64s]] = field(default_factory=dict)

    def add(self, sample: SetSample) -> Held:
        """Write a ground truth, and keep its components."""
        if self.faces is None:
            self.side_px = sample.side_px
            self.faces = LmdbFile(self.out, f"ffhq_{self.side_px}.lmdb")
        if sample.side_px != self.side_px:
            raise BadSample(
                f"its face has {sample.side_px} px, others have {self.side_px}: GFPGAN wants one size"
            )
        name = f"{self.faces.name}/{sample.name}"
        if self.out.claim(name, sample.ground_truth):
            landmarks = np.array(sample.record["target"]["landmarks"], np.float64)
            self.components[f"{len(self.faces):08d}"] = components_of(landmarks, self.side_px)
            self.faces.add(sample.name, sample.ground_truth, self.side_px)
        self.out.note(name, sample, "gt", "stored")
        return Held()

    def finish(self) -> list[str]:
        """Write the component file. Its places are tensors: NumPy's arrays are not read with `weights_only=True`."""
        import torch

        assert self.faces is not None  # noqa: S101  # a set has samples
        self.faces.finish()
        file = io.BytesIO()
        tensors = {
            number: {part: torch.from_numpy(place) for part, place in places.items()}
            for number, places in self.components.items()
        }
        torch.save(tensors, file)
        self.out.write(f"FFHQ_eye_mouth_landmarks_{self.side_px}.pth", file.getvalue())
        return ["GFPGAN wants at least one worker and dataset_enlarge_ratio 1: README.md says why"]


def components_of(landmarks: Float64s, side_px: int) -> dict[str, Float64s]:
    """The places of eyes and mouth as GFPGAN has them: x, y of the centre and half the side, before eyes are enlarged.

    landmarks: (68, 2). The centre is the mean of the points, and half the side half their larger extent, at least 16 px
    of 512. "Left" is the left of the image.
    """
    least = _LEAST_HALF_PX * side_px / 512
    places = {}
    for part, numbers in _PARTS.items():
        points = landmarks[numbers]
        half = max(float(np.ptp(points, axis=0).max()) / 2, least)
        places[part] = np.array([*points.mean(axis=0), half])
    return places


KIND = LayoutKind(
    "an LMDB of faces and the places of eyes and mouth, for GFPGAN's FFHQDegradationDataset: ground truths only",
    "train",
    GFPGAN,
    _USAGE,
)
