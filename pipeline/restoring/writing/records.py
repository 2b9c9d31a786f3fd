"""One JSON line per face in `restored.jsonl`, beside the restored photos."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facerefs.pipeline.errors import RunError, UserError

if TYPE_CHECKING:
    from facerefs.pipeline.restoring.whole import RestoredFace

NAME = "restored.jsonl"
_MOST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class FaceRecord:
    """A face of a photo and what happened to it.

    photo: the input. face: its number, the largest is 1. box: left, top, right, bottom in pixels of the upright photo;
    None for an aligned face. person: whose face it is. similarity: the mean cosine to the references of that person,
    or of the most like one if the face is nobody's. reference: the photo that the model used first, with the cosine to
    it. model: which restored it. outputs: the restored photos. left: why it was not restored. strength: of the blend,
    0 to 1; 0 if it was left. grain: noise added to match the photo, in levels of 255. warnings: what may be wrong.
    """

    photo: str
    face: int
    box: tuple[float, ...] | None
    person: str | None
    similarity: float | None
    reference: str | None
    reference_similarity: float | None
    model: str | None
    outputs: tuple[str, ...]
    left: str | None
    left_kind: str | None
    strength: float
    grain: float
    warnings: tuple[str, ...]


def record_of(photo: Path, face: "RestoredFace", outputs: Sequence[Path]) -> FaceRecord:
    """The record of a face."""
    return FaceRecord(
        str(photo),
        face.number,
        None if face.box is None else tuple(round(value, 1) for value in face.box),
        face.person,
        _rounded(face.similarity),
        None if face.reference is None else str(face.reference),
        _rounded(face.reference_similarity),
        face.model,
        tuple(map(str, outputs)),
        face.left,
        face.left_kind,
        0.0 if face.left else face.strength,
        round(face.grain, 2),
        face.warnings,
    )


class RecordFile:
    """`restored.jsonl` of an output folder; lines of photos that are not restored again stay."""

    def __init__(self, folder: Path, photos: Iterable[Path]) -> None:
        """Nothing is written yet. photos: whose lines will be dropped. Raises UserError if it holds something else."""
        self.path = folder / NAME
        self._kept: list[str] | None = (
            _lines_of_others(self.path, {str(photo) for photo in photos}) if self.path.exists() else []
        )

    def add(self, records: Iterable[FaceRecord]) -> None:
        """Append a line for each face. Raises RunError."""
        try:
            if self._kept is not None:
                self._drop_old(self._kept)
            with self.path.open("a") as file:
                file.writelines(json.dumps(asdict(record)) + "\n" for record in records)
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror or error}", again=False) from None

    def _drop_old(self, kept: list[str]) -> None:
        temporary = self.path.with_name(f".{NAME}.part")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text("".join(kept))
        temporary.replace(self.path)
        self._kept = None


def _lines_of_others(path: Path, photos: set[str]) -> list[str]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path} is larger than {_MOST_BYTES} bytes: choose another --out")
        lines = path.read_text().splitlines()
        return [f"{line}\n" for line in lines if line.strip() and json.loads(line)["photo"] not in photos]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{path} holds something else than the lines of a restoration: move it away, or choose another --out"
        ) from None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
