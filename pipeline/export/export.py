"""`facerefs export`: write a training set in the layout of another program."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console

from facerefs.pipeline.dataset.credits import CREDITS_FILE
from facerefs.pipeline.dataset.dataset_card import NOTICE
from facerefs.pipeline.errors import RunError, UserError
from facerefs.pipeline.export.export_folder import FILES_FILE, ExportFolder, ExportState, check_folder
from facerefs.pipeline.export.layout import Held, Layout, LayoutKind, SetFacts
from facerefs.pipeline.export.layouts import LAYOUTS
from facerefs.pipeline.export.read_set import ALL_SPLITS, ExportedSet, SetSample, open_set, read_document
from facerefs.pipeline.local_path import check_local
from facerefs.pipeline.runner.progress import StageProgress
from facerefs.pipeline.storage.lock import locked
from facerefs.pipeline.text import count, plain_cell, plural, shown, size
from facerefs.schemas.sample import SPLITS
from facerefs.trainers.stream.errors import BadSample

_LICENCES = 5


@dataclass(frozen=True)
class ExportOptions:
    """The options of `facerefs export`, not yet checked."""

    place: str
    layout: str
    out: Path
    split: str | None = None


@dataclass
class Tally:
    """What was exported, and what the layout does not hold."""

    samples: int = 0
    names: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)
    licences: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, sample: SetSample, held: Held, masks: bool) -> None:
        """Count a sample; what the samples of one target share counts once."""
        self.samples += 1
        self.left_out["degraded faces"] += not held.degraded
        self.left_out["degradation parameters (theta)"] += 1
        if sample.name in self.names:
            return
        self.names.add(sample.name)
        self.people.add(sample.identity)
        self.licences[plain_cell(sample.record["target"].get("licence") or "not stated")] += 1
        self.left_out["references"] += len(sample.references) - held.references
        self.left_out["landmarks of faces"] += 1 + held.references - held.landmarks
        self.left_out["masks"] += 1 + len(sample.references) if masks else 0

    @property
    def left_out_sentence(self) -> str:
        """What the layout does not hold, with numbers."""
        return ", ".join(f"{count(number)} {what}" for what, number in self.left_out.items() if number)


def export_command(options: ExportOptions, console: Console) -> None:
    """Export a set and print what was made and what the layout does not hold. Raises UserError and RunError."""
    kind = LAYOUTS.get(options.layout)
    if kind is None:
        raise UserError(f"--to cannot be {options.layout!r}: choose {', '.join(LAYOUTS)}")
    split = options.split or kind.split
    if split not in (*SPLITS, ALL_SPLITS):
        raise UserError(f"--split cannot be {split!r}: choose {', '.join(SPLITS)} or {ALL_SPLITS}")
    check_local(options.out, "--out")
    opened = open_set(options.place, split)
    out = options.out.expanduser().absolute()
    state = ExportState(options.layout, split, opened.manifest.fingerprint)
    if check_folder(out, state):
        console.print(f"nothing     to do: {out} holds this export already", highlight=False)
        return
    try:
        with locked(out):
            tally, written, notes = _export(opened, kind, state, out, console)
    except OSError as error:
        raise RunError(f"cannot write to {out}: {error.strerror or error}") from None
    for line in _closing_lines(tally, written, notes, state):
        console.print(line, highlight=False)


def _export(
    opened: ExportedSet, kind: LayoutKind, state: ExportState, root: Path, console: Console
) -> tuple[Tally, ExportFolder, list[str]]:
    photos = read_document(opened, CREDITS_FILE)
    out, tally = ExportFolder(root, state), Tally()
    layout = kind.open(out, SetFacts(opened.recipes, opened.splits))
    _add_all(opened, layout, tally, console)
    notes = layout.finish()
    if len(opened.splits) > 1 and not kind.keeps_splits:
        notes.append(
            f"people of {' and '.join(opened.splits)} are in one folder: {FILES_FILE} says who is in which"
        )
    if photos is None:
        notes.append(
            f"the set lists no {CREDITS_FILE}: origin and licence of its photos are in {FILES_FILE} alone"
        )
    else:
        out.write(CREDITS_FILE, photos)
    out.write("README.md", _readme(opened, kind, state, tally, notes).encode())
    out.finish(
        asdict(state)
        | {"samples": tally.samples, "people": len(tally.people), "recipes": list(opened.recipes)}
        | {"left_out": {what: number for what, number in tally.left_out.items() if number}}
        | {
            "notes": notes,
            "licences": dict(tally.licences.most_common()),
            "people_notice": " ".join(NOTICE.split()),
        }
    )
    return tally, out, notes


def _add_all(opened: ExportedSet, layout: Layout, tally: Tally, console: Console) -> None:
    masks = bool(opened.manifest.parsers)
    with StageProgress(console, "export", len(opened), 0, "samples", "left out") as progress:
        for sample in opened.samples():
            try:
                tally.add(sample, layout.add(sample), masks)
            except BadSample as error:
                raise UserError(
                    f"sample {sample.key} cannot be exported: {error}; `facerefs verify` says more"
                ) from None
            progress.part_done(1, 0)


def _readme(
    opened: ExportedSet, kind: LayoutKind, state: ExportState, tally: Tally, notes: Sequence[str]
) -> str:
    licences = "\n".join(
        f"- {shown(name)}: {number}" for name, number in tally.licences.most_common(_LICENCES)
    )
    noted = "".join(f"- {note}\n" for note in notes)
    return f"""\
# Faces as `{state.layout}`

{kind.sentence}.

Exported by `facerefs export --to {state.layout} --split {state.split}` from the set with the fingerprint
`{state.fingerprint}`: {plural(tally.samples, "sample")} of {plural(len(tally.people), "person", "people")}, degraded by
{" and ".join(f"`{recipe}`" for recipe in opened.recipes)}.

{kind.usage}
{noted}
Not held: {tally.left_out_sentence or "nothing"}.

`{FILES_FILE}` names for each image its sample in the set, its person, its photo, and the photo's licence, author and
URL; `pixels` says whether the file has the stored bytes. `{CREDITS_FILE}` lists all photos of the set. Include both in
every copy.

## Licences of the ground truths

{licences}

## People

{NOTICE}"""


def _closing_lines(tally: Tally, out: ExportFolder, notes: Sequence[str], state: ExportState) -> list[str]:
    lines = [f"note        {note}" for note in notes]
    if tally.left_out_sentence:
        lines.append(f"not held    {tally.left_out_sentence}")
    made = f"{plural(tally.samples, 'sample')} of {plural(len(tally.people), 'person', 'people')}"
    files = f"{plural(out.files, 'file')}, {size(out.bytes)}"
    lines.append(
        f"exported    {made} ({state.which}) as {state.layout}: {files} in {out.root}; see its README.md"
    )
    return lines
