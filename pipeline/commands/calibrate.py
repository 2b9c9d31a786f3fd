"""`facerefs calibrate`: what the cosines of an embedder mean, measured on photos that the user trusts."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from rich.console import Console

from facerefs.pipeline.config.config import ENGINES, Config, read_config
from facerefs.pipeline.errors import UserError
from facerefs.stages.analyse import Analyse
from facerefs.stages.copies.copy_augmentations import AUGMENTATIONS, augmented_jpeg
from facerefs.stages.images.decode import DecodeError, DecodeLimits, decode

if TYPE_CHECKING:
    from facerefs.stages.copies.calibrate import Measured

_SAID = pa.list_(pa.struct([("label", pa.string()), ("box", pa.list_(pa.float32(), 4))]))
_QUANTILES = (0, 0.01, 0.05, 0.5, 0.95, 0.99, 1)
_NAMED = 5  # photos that look like copies of others


def calibrate_command(
    source: Path, config_file: Path | None, settings: list[str], engines: str | None
) -> None:
    """Analyse the photos and their edited copies in memory, measure, and print what to paste into a configuration.

    Raises UserError for a mistake of the user.
    """
    from facerefs.stages.copies.calibrate import measure
    from facerefs.stages.copies.face_features import Looks

    console = Console(soft_wrap=True, markup=False, highlight=False)
    config = read_config(config_file, settings, base=_engines(engines))
    photos = _photos(source)
    console.print(f"photos      {len(photos)} of {len({label for _, label in photos})} people")
    faces, edits, left_out = _analysed(config, photos, console)
    console.print(f"analysed    {edits.count('')} photos with one face; {left_out} left out")
    people = {label: number for number, label in enumerate(sorted({label for _, label in photos}))}
    of_photo = {str(path): number for number, (path, _) in enumerate(photos)}
    try:
        measured = measure(
            Looks.of(faces),
            np.array([people[label] for label in faces["label"].to_pylist()], np.int64),
            np.array([of_photo[key] for key in faces["key"].to_pylist()], np.int64),
            np.array(edits, np.str_),
            config.compare.rule,
        )
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
    for line in _lines(measured, [path for path, _ in photos], faces["embedder"][0].as_py()):
        console.print(line)


def _engines(engines: str | None) -> dict[str, Any]:
    if engines is None:
        return {}
    if engines not in ENGINES:
        raise UserError(f"--engines cannot be {engines!r}: choose {' or '.join(ENGINES)}")
    return {"analyse": dict(ENGINES[engines])}


def _photos(source: Path) -> list[tuple[Path, str]]:
    """Photos in sub-folders, and whom they show; at most MOST_PHOTOS, spread over all."""
    from facerefs.pipeline.text import plural
    from facerefs.stages.copies import calibrate
    from facerefs.stages.sources.folder import FolderSource
    from facerefs.stages.sources.source import SourceError

    if not source.is_dir():
        raise UserError(f"{source} is no folder: give one with a sub-folder of photos for each person")
    try:
        rows = [row for table in FolderSource(source.resolve()).rows() for row in table.to_pylist()]
    except SourceError as error:
        raise UserError(str(error)) from None
    found = [
        (Path(row["photo"]["path"]), row["label"])
        for row in rows
        if row["label"] is not None and row["photo"] is not None
    ]
    people = len({label for _, label in found})
    if people < calibrate.FEWEST_PEOPLE or len(found) < calibrate.FEWEST_PHOTOS:
        raise UserError(
            f"{source} has {plural(len(found), 'photo')} of {people} people in sub-folders, one for each person: "
            f"give at least {calibrate.FEWEST_PHOTOS} of {calibrate.FEWEST_PEOPLE}"
        )
    if people == len(found):
        raise UserError(
            f"{source} has one photo of each person: give each several, to see how alike they are"
        )
    return found[:: -(-len(found) // calibrate.MOST_PHOTOS)]


def _analysed(
    config: Config, photos: Sequence[tuple[Path, str]], console: Console
) -> tuple[pa.Table, list[str], int]:
    """A face of each photo and of each edited copy, the edit of each, and how many photos have no one clear face.

    The limits of the configuration hold for the photos, not for the copies, whose faces may be smaller.
    """
    from facerefs.stages.engines.engine import MissingWeights

    analyse = replace(config.analyse, niqe=config.analyse.max_niqe is not None)
    try:
        analyse.setup()
    except MissingWeights as error:
        raise UserError(str(error)) from None
    found: list[pa.Table] = []
    edits: list[str] = []
    left_out = 0
    for number, (path, label) in enumerate(photos, 1):
        faces = _faces(path, label, analyse)
        left_out += not faces
        found += [face for _, face in faces]
        edits += [edit for edit, _ in faces]
        if number % 20 == 0:
            console.print(f"analysing   {number}/{len(photos)} photos, each with {len(AUGMENTATIONS)} edits")
    if not found:
        raise UserError(
            "no photo shows one clear face: loosen the limits, as with --set analyse.min_face_px=64"
        )
    return pa.concat_tables(found), edits, left_out


def _faces(path: Path, label: str, analyse: Analyse) -> list[tuple[str, pa.Table]]:
    """The face of a photo, as edit "", and those of its edited copies; none if the photo has no one clear face."""
    from PIL import Image

    try:
        data = path.read_bytes()
        photo = Image.fromarray(decode(data, DecodeLimits()).pixels)
    except (OSError, DecodeError):
        return []
    faces = analyse.process(_row(path, label, data))
    if len(faces) != 1 or faces["reject"][0].is_valid:
        return []
    found = [("", _measured(faces))]
    for edit in AUGMENTATIONS:
        copies = analyse.process(_row(path, label, augmented_jpeg(photo, edit)))
        copies = copies.filter(pc.is_valid(copies["embedding"]))
        if len(copies):
            found.append((edit, _measured(copies)))
    return found


def _row(path: Path, label: str, data: bytes) -> pa.Table:
    said = pa.array([[{"label": label, "box": None}]], _SAID)
    names = {"id": hashlib.sha256(data).hexdigest(), "key": str(path), "label": label}
    columns = {name: pa.array([value], pa.string()) for name, value in names.items()}
    return pa.table({**columns, "said": said, "photo": pa.array([data], pa.large_binary())})


def _measured(faces: pa.Table) -> pa.Table:
    """The first face, which is the largest, without its crop."""
    from facerefs.stages.copies.face_features import LOOKS

    return faces.select(["key", "label", "embedder", *LOOKS]).slice(0, 1)


def _lines(measured: "Measured", photos: Sequence[Path], embedder: str) -> Iterator[str]:
    """What was measured, as a person reads it, and the lines of YAML."""
    yield f"embedder    {embedder}"
    yield ""
    yield _cells("cosines", "pairs", *(f"{share:.0%}" for share in _QUANTILES))
    for name, cosines in (
        ("two photos of one person", measured.one_person),
        ("photos of two people", measured.two_people),
        ("a photo and its edited copy", measured.copies),
    ):
        yield _cells(name, len(cosines), *(f"{value:.3f}" for value in np.quantile(cosines, _QUANTILES)))
    yield ""
    yield _cells("with the figures below", "pairs", "copies", "unsure", "session", "neither")
    copies = [*measured.by_edit.items(), ("all edited copies", measured.edits)]
    for name, kinds in [*copies, ("two photos", measured.shots)]:
        neither = kinds.pairs - kinds.copies - kinds.unsure - kinds.sessions
        yield _cells(name, kinds.pairs, kinds.copies, kinds.unsure, kinds.sessions, neither)
    yield ""
    found = measured.edits
    share = f"{found.copies} of {found.pairs} found ({found.copies / found.pairs:.1%})"
    yield f"copies      {share}, {measured.shots.copies} false ones among {measured.shots.pairs} pairs of two photos"
    for one, other in measured.taken_for_copies[:_NAMED]:
        yield f"left out    {photos[one]} and {photos[other]} look like one shot"
    if len(measured.taken_for_copies) > _NAMED:
        yield f"left out    {len(measured.taken_for_copies) - _NAMED} more such pairs"
    yield ""
    yield f"# measured on {_facts(measured)}, by facerefs calibrate, for {embedder}"
    yield from yaml.safe_dump(_settings(measured), sort_keys=False).splitlines()


def _cells(name: str, *values: object) -> str:
    return f"{name:<28}" + "".join(f"{value!s:>9}" for value in values)


def _facts(measured: "Measured") -> str:
    pairs = len(measured.one_person), len(measured.two_people), len(measured.copies)
    return "{} pairs of one person, {} of two people and {} edited copies".format(*pairs)


def _settings(measured: "Measured") -> dict[str, Any]:
    figures = measured.calibration
    rule = {
        "copy_similarity": figures.copy,
        "twin_similarity": figures.twin,
        "session_similarity": figures.session,
    }
    return {
        "cluster": {"same": figures.same},
        "compare": {"rule": dict(rule)},
        "select": {"rule": dict(rule)},
    }
