"""`facerefs calibrate`: similarity thresholds of an embedder, measured on photos with reliable names."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from rich.console import Console

from facerefs.pipeline.config.config import ENGINES, Config, read_config
from facerefs.pipeline.errors import UserError
from facerefs.schemas.paths import path_of_text
from facerefs.stages.analyse import Analyse
from facerefs.stages.copies.copy_augmentations import AUGMENTATIONS, augmented_jpeg
from facerefs.stages.images.decode import DecodeError, DecodeLimits, decode

if TYPE_CHECKING:
    from facerefs.stages.copies.calibrate import CalibrationResult
    from facerefs.stages.sources.source import PhotoSource

_QUANTILES = (0, 0.01, 0.05, 0.5, 0.95, 0.99, 1)
_NAMED = 5  # pairs of photos that look like copies and are printed by name


@dataclass(frozen=True)
class _Photo:
    """A local photo: at `place` (a file, an offset and a length), or else the bytes in `data`."""

    key: str
    label: str
    place: dict[str, Any] | None
    data: bytes | None

    def read(self) -> bytes:
        """The bytes of the photo. Raises OSError."""
        if self.place is None:
            return self.data or b""
        with Path(path_of_text(self.place["path"])).open("rb") as file:
            file.seek(self.place["offset"])
            return file.read(self.place["length"])


def calibrate_command(text: str, config_file: Path | None, settings: list[str], engines: str | None) -> None:
    """Measure the thresholds on the photos and their edited copies, and print the settings for a configuration file.

    Everything is done in memory. text: the source as the user wrote it. Raises UserError for a mistake of the user.
    """
    from facerefs.stages.copies.calibrate import measure_calibration
    from facerefs.stages.copies.face_features import FaceFeatures
    from facerefs.stages.sources.source import SourceError

    console = Console(soft_wrap=True, markup=False, highlight=False)
    config = read_config(config_file, settings, base=_engines(engines))
    try:
        photos = _photos(text, config)
    except SourceError as error:
        raise UserError(str(error)) from None
    console.print(f"photos      {len(photos)} of {len({photo.label for photo in photos})} people")
    faces, edits, left_out = _analysed(config, photos, console)
    console.print(f"analysed    {edits.count('')} photos with one face; {left_out} left out")
    people = {label: number for number, label in enumerate(sorted({photo.label for photo in photos}))}
    of_photo = {photo.key: number for number, photo in enumerate(photos)}
    shown_in = np.array([of_photo[key] for key in faces["key"].to_pylist()], np.int64)
    try:
        measured = measure_calibration(
            FaceFeatures.of(faces),
            np.array([people[photos[number].label] for number in shown_in], np.int64),
            shown_in,
            np.array(edits, np.str_),
            config.copies.rule,
        )
    except ValueError as error:
        raise UserError(f"{text}: {error}") from None
    for line in _lines(measured, [photo.key for photo in photos], faces["embedder"][0].as_py()):
        console.print(line)


def _engines(engines: str | None) -> dict[str, Any]:
    if engines is None:
        return {}
    if engines not in ENGINES:
        raise UserError(f"--engines cannot be {engines!r}: choose {' or '.join(ENGINES)}")
    return {"analyse": dict(ENGINES[engines])}


def _photos(text: str, config: Config) -> list[_Photo]:
    """The labelled photos of a source, at most MOST_PHOTOS, evenly spaced over all of them. Raises SourceError."""
    from facerefs.pipeline.text import plural
    from facerefs.stages.copies import calibrate
    from facerefs.stages.sources.resolve import open_source

    source = open_source(text, None, config.sources, config.fetch.limits)
    if source.service_query is not None:
        raise _must_be_fetched(text)
    labels = [photo.label for photo in _listed(source, text)]
    people = len(set(labels))
    if people < calibrate.FEWEST_PEOPLE or len(labels) < calibrate.FEWEST_PHOTOS:
        raise UserError(
            f"{text} has {plural(len(labels), 'photo')} of {people} people with names (in a folder: the names of its "
            f"sub-folders): give at least {calibrate.FEWEST_PHOTOS} of {calibrate.FEWEST_PEOPLE}"
        )
    if people == len(labels):
        raise UserError(f"{text} has one photo of each person: give several of each, to compare them")
    step = -(-len(labels) // calibrate.MOST_PHOTOS)
    return list(islice(_listed(source, text), None, None, step))


def _listed(source: "PhotoSource", text: str) -> Iterator[_Photo]:
    """Iterate over the labelled photos, one at a time: the photos of a Parquet file may not all fit into memory."""
    from facerefs.stages.sources.spellings import Spellings

    spellings = Spellings()
    for table in map(spellings.unified, source.rows()):
        for row in table.select(["key", "url", "label", "photo", "reject"]).to_pylist():
            photo = row["photo"]
            if photo is None and row["url"] is not None and row["reject"] is None:
                raise _must_be_fetched(text)
            if photo is not None and row["label"] is not None and row["reject"] is None:
                place, data = (None, photo) if isinstance(photo, bytes) else (photo, None)
                yield _Photo(row["key"], row["label"], place, data)


def _must_be_fetched(text: str) -> UserError:
    return UserError(
        f"the photos of {text} must be downloaded first, and calibrate reads only local photos: "
        "give a folder, tars or Parquet files that contain them"
    )


def _analysed(config: Config, photos: Sequence[_Photo], console: Console) -> tuple[pa.Table, list[str], int]:
    """The faces of the photos and of their edited copies, the edit of each, and the number of photos left out.

    A photo is left out unless it shows exactly one accepted face. The limits of the configuration apply to the
    photos, not to the copies, whose faces may be smaller.
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
    for number, photo in enumerate(photos, 1):
        faces = _faces(photo, analyse)
        left_out += not faces
        found += [face for _, face in faces]
        edits += [edit for edit, _ in faces]
        if number % 20 == 0:
            console.print(f"analysing   {number}/{len(photos)} photos, each with {len(AUGMENTATIONS)} edits")
    if not found:
        raise UserError(
            "no photo shows exactly one accepted face: loosen the limits, as with --set analyse.min_face_px=64"
        )
    return pa.concat_tables(found), edits, left_out


def _faces(photo: _Photo, analyse: Analyse) -> list[tuple[str, pa.Table]]:
    """The face of a photo (edit "") and of its edited copies; empty unless the photo shows one accepted face."""
    from PIL import Image

    try:
        data = photo.read()
        image = Image.fromarray(decode(data, DecodeLimits()).pixels)
    except (OSError, DecodeError):
        return []
    faces = analyse.process(_row(photo, data))
    if len(faces) != 1 or faces["reject"][0].is_valid:
        return []
    found = [("", _measured(faces))]
    for edit in AUGMENTATIONS:
        copies = analyse.process(_row(photo, augmented_jpeg(image, edit)))
        copies = copies.filter(pc.is_valid(copies["embedding"]))
        if len(copies):
            found.append((edit, _measured(copies)))
    return found


def _row(photo: _Photo, data: bytes) -> pa.Table:
    names = {"id": hashlib.sha256(data).hexdigest(), "key": photo.key}
    columns = {name: pa.array([value], pa.string()) for name, value in names.items()}
    return pa.table({**columns, "photo": pa.array([data], pa.large_binary())})


def _measured(faces: pa.Table) -> pa.Table:
    """The features of the first face, which is the largest."""
    from facerefs.stages.copies.face_features import FACE_FEATURES

    return faces.select(["key", "embedder", *FACE_FEATURES]).slice(0, 1)


def _lines(measured: "CalibrationResult", photos: Sequence[str], embedder: str) -> Iterator[str]:
    """The lines to print: tables of the measurement, then the settings as YAML."""
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
    yield _cells("with these thresholds", "pairs", "copies", "unsure", "session", "neither")
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


def _facts(measured: "CalibrationResult") -> str:
    pairs = len(measured.one_person), len(measured.two_people), len(measured.copies)
    return "{} pairs of one person, {} of two people and {} edited copies".format(*pairs)


def _settings(measured: "CalibrationResult") -> dict[str, Any]:
    figures = measured.calibration
    rule = {
        "copy_similarity": figures.copy,
        "same_shot_similarity": figures.same_shot,
        "session_similarity": figures.session,
    }
    return {"cluster": {"same": figures.same}, "copies": {"rule": rule}}
