"""DMDNet's test folders: degraded faces, and for each a folder of references and one of their landmarks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from facerefs.pipeline.export.export_folder import ExportFolder
from facerefs.pipeline.export.layout import Held, LayoutKind, SetFacts
from facerefs.pipeline.export.read_set import SetSample
from facerefs.trainers.stream.errors import BadSample

_SIDE_PX = 512
_LEAST_REFERENCES = 2  # with fewer, DMDNet leaves a face out
_USAGE = """\
The lists name the files from this folder, in which DMDNet looks for its weights too:

```sh
cd DIR
ln -s DMDNET/checkpoints
python DMDNET/main_test.py --img_list SpecificLists.txt --out_path results
```

`SpecificLists.txt` names each degraded face with its references and their landmarks, if it has two or more, since
DMDNet skips others; `GenericLists.txt` names all of them for restoration without references. `gt/` is not read by
DMDNet. Of a set with several recipes there are `lq_RECIPE/` and lists for each.
"""


@dataclass(frozen=True)
class DMDNet:
    """Writes `lq/`, `RefsImg/NAME/`, `RefsLandmark/NAME/`, `gt/` and the lists."""

    out: ExportFolder
    facts: SetFacts
    specific: dict[str, list[str]] = field(default_factory=dict)  # lines by recipe
    generic: dict[str, list[str]] = field(default_factory=dict)
    too_few: set[str] = field(default_factory=set)
    landmarks: set[str] = field(default_factory=set)  # names of the files that are written

    def add(self, sample: SetSample) -> Held:
        """Write the images and landmarks of a sample."""
        if sample.side_px > _SIDE_PX:
            raise BadSample(f"DMDNet reads faces of {_SIDE_PX} px, and this one has {sample.side_px}")
        self.out.image(f"gt/{sample.name}", sample.ground_truth, sample, "gt", png=True)
        degraded = self.out.degraded(f"{self.facts.lq(sample)}/{sample.name}", sample)
        for number, reference in enumerate(sample.references):
            stem = f"RefsImg/{sample.name}/{number}"
            name = self.out.image(stem, reference, sample, f"ref{number}", png=False)
            points = sample.record["references"][number]["landmarks"]
            landmarks = f"RefsLandmark/{sample.name}/{name.rpartition('/')[2]}.txt"
            if landmarks not in self.landmarks:
                self.landmarks.add(landmarks)
                self.out.write(landmarks, _text(points, sample.side_px))
        self.generic.setdefault(sample.recipe, []).append(f"./{degraded}\n")
        if len(sample.references) < _LEAST_REFERENCES:
            self.too_few.add(sample.name)
        else:
            line = f"./{degraded}\t./RefsImg/{sample.name}\t./RefsLandmark/{sample.name}\n"
            self.specific.setdefault(sample.recipe, []).append(line)
        count = len(sample.references)
        return Held(degraded=True, references=count, landmarks=count)

    def finish(self) -> list[str]:
        """Write the lists."""
        for name, lists in (("SpecificLists", self.specific), ("GenericLists", self.generic)):
            for recipe in self.generic:
                lines = "".join(lists.get(recipe, ()))
                self.out.write(f"{name}{self.facts.suffix(recipe)}.txt", lines.encode())
        if not self.too_few:
            return []
        fewer = f"{len(self.too_few)} targets have fewer than {_LEAST_REFERENCES} references"
        return [f"{fewer}: DMDNet restores them without references only (GenericLists.txt)"]


def _text(points: Sequence[Sequence[float]], side_px: int) -> bytes:
    """68 lines of x and y, in the 512 px to which DMDNet enlarges smaller faces."""
    scale = _SIDE_PX / side_px
    return "".join(
        f"{(x + 0.5) * scale - 0.5:.3f} {(y + 0.5) * scale - 0.5:.3f}\n" for x, y in points
    ).encode()


KIND = LayoutKind(
    "degraded faces, folders of references and their landmarks as text, for DMDNet", "test", DMDNet, _USAGE
)
