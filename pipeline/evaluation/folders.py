"""Folders of outputs that are judged without ground truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.evaluation.judges.networks import Judges, load_judges
from facerefs.pipeline.evaluation.methods.folder import FolderMethod, files_by_key, photos_in, read_output
from facerefs.pipeline.evaluation.methods.open import is_run, names_of
from facerefs.pipeline.evaluation.options import EvaluateOptions
from facerefs.pipeline.evaluation.samples import SampleFacts
from facerefs.pipeline.evaluation.settings import EvaluationSettings
from facerefs.schemas.arrays import UInt8Image

_ANY_SIZE = 1 << 16


@dataclass(frozen=True, eq=False)
class Folders:
    """Folders of outputs, by the names of their files without ending. references: by the same names."""

    options: EvaluateOptions
    settings: EvaluationSettings
    device: torch.device
    methods: Sequence[FolderMethod]
    references: Mapping[str, Path]
    extra_references: Sequence[Path]
    names: Sequence[str]
    judges: Judges

    def pictures(self, samples: Sequence[SampleFacts]) -> dict[str, dict[str, UInt8Image]]:
        """The images of samples, by key and name: outputs, then the reference."""
        return {
            sample.key: {
                name: read_output(path).pixels
                for name, path in (
                    *((method.name, method.files.get(sample.key)) for method in self.methods),
                    ("reference", self.references.get(sample.key)),
                )
                if path is not None
            }
            for sample in samples
        }


def open_folders(options: EvaluateOptions, settings: EvaluationSettings, device: torch.device) -> Folders:
    """The folders of the options. Raises UserError for a run, or for references of no output."""
    named = names_of(options.methods)
    if not named:
        raise UserError("nothing to judge: give --data with a set, or folders of outputs")
    if runs := [folder for _, folder in named if is_run(folder)]:
        raise UserError(f"{runs[0]} is a training run, which needs a set to restore: add --data")
    for option, value in {"--size": options.size_px, "--names": options.names}.items():
        if value is not None:
            raise UserError(f"{option} needs --data: without it pictures are judged as they are")
    photos = {name: photos_in(folder) for name, folder in named}
    files = {name: {path.stem: path for path in some} for name, some in photos.items()}
    stems = sorted({stem for some in files.values() for stem in some})[: options.samples]
    methods = []
    for name, folder in named:
        if len(photos[name]) > len(files[name]):
            raise UserError(f"{folder} holds two pictures of one name with different endings: keep one")
        own = {stem: files[name][stem] for stem in stems if stem in files[name]}
        missing = [stem for stem in stems if stem not in own]
        methods.append(FolderMethod(name, folder, own, [], missing, 0, 0))
    references: dict[str, Path] = {}
    extra: list[Path] = []
    if options.references is not None:
        references, extra = files_by_key(
            photos_in(options.references), {stem: stem for stem in stems}, options.references
        )
        if not references:
            raise UserError(
                f"no file in --references {options.references} is named as an output, such as {stems[0]}.png"
            )
    judges = load_judges(settings.weights, _ANY_SIZE, device, with_truth=False)
    return Folders(options, settings, device, methods, references, extra, stems, judges)
