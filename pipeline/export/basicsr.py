"""BasicSR's pairs for `PairedImageDataset`: folders with meta information, or a pair of LMDBs."""

from dataclasses import dataclass, field

from facerefs.pipeline.export.export_folder import ExportFolder
from facerefs.pipeline.export.images import full_size_png
from facerefs.pipeline.export.layout import Held, LayoutKind, SetFacts
from facerefs.pipeline.export.lmdb_file import LmdbFile
from facerefs.pipeline.export.read_set import SetSample

_USAGE = """\
In the options of BasicSR (`type: PairedImageDataset`, `scale: 1`: the degraded faces are resized back to full size):

```yaml
dataroot_gt: DIR/gt
dataroot_lq: DIR/lq
meta_info_file: DIR/meta_info.txt
io_backend: {type: disk}
```

Of a set with several recipes there are `lq_RECIPE/` and `meta_info_RECIPE.txt` for each.
"""
_LMDB_USAGE = """\
In the options of BasicSR (`type: PairedImageDataset`, `scale: 1`: the degraded faces are resized back to full size):

```yaml
dataroot_gt: DIR/gt.lmdb
dataroot_lq: DIR/lq.lmdb
io_backend: {type: lmdb}
```

Of a set with several recipes there is `lq_RECIPE.lmdb` for each.
"""


@dataclass(frozen=True)
class BasicSR:
    """Writes `gt/`, `lq/` and `meta_info.txt`; both images of a pair are PNG, since they have the same name."""

    out: ExportFolder
    facts: SetFacts
    lines: dict[str, list[str]] = field(default_factory=dict)

    def add(self, sample: SetSample) -> Held:
        """Write a pair."""
        name = self.out.image(f"gt/{sample.name}", sample.ground_truth, sample, "gt", png=True)
        self.out.degraded(f"{self.facts.lq(sample)}/{sample.name}", sample)
        line = f"{name.removeprefix('gt/')} ({sample.side_px},{sample.side_px},3)\n"
        self.lines.setdefault(sample.recipe, []).append(line)
        return Held(degraded=True)

    def finish(self) -> list[str]:
        """Write the meta information."""
        for recipe, lines in self.lines.items():
            self.out.write(f"meta_info{self.facts.suffix(recipe)}.txt", "".join(lines).encode())
        return []


@dataclass(frozen=True)
class BasicSRLmdb:
    """Writes `gt.lmdb` with the stored images, and `lq.lmdb` with PNG."""

    out: ExportFolder
    facts: SetFacts
    files: dict[str, LmdbFile] = field(default_factory=dict)

    def add(self, sample: SetSample) -> Held:
        """Write a pair."""
        gt, lq = self._file("gt.lmdb"), self._file(f"{self.facts.lq(sample)}.lmdb")
        if self.out.claim(f"{gt.name}/{sample.name}", sample.ground_truth):
            gt.add(sample.name, sample.ground_truth, sample.side_px)
        self.out.note(f"{gt.name}/{sample.name}", sample, "gt", "stored")
        if self.out.claim(f"{lq.name}/{sample.name}", sample.degraded):
            lq.add(sample.name, full_size_png(sample), sample.side_px)
        self.out.note(f"{lq.name}/{sample.name}", sample, "lq", "resized back")
        return Held(degraded=True)

    def _file(self, name: str) -> LmdbFile:
        if name not in self.files:
            self.files[name] = LmdbFile(self.out, name)
        return self.files[name]

    def finish(self) -> list[str]:
        """Give the LMDBs their names."""
        for file in self.files.values():
            file.finish()
        gt = self.files["gt.lmdb"]
        return [
            f"{file.name} lacks {len(gt) - len(file)} of the {len(gt)} targets: BasicSR refuses it beside gt.lmdb"
            for file in self.files.values()
            if len(file) != len(gt)
        ]


KIND = LayoutKind(
    "gt/ and lq/ with meta_info.txt, for BasicSR's PairedImageDataset: no references",
    "train",
    BasicSR,
    _USAGE,
)
LMDB_KIND = LayoutKind(
    "gt.lmdb and lq.lmdb for BasicSR's PairedImageDataset: no references", "train", BasicSRLmdb, _LMDB_USAGE
)
