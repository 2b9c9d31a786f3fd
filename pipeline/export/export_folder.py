"""The folder that an export writes: each file whole or not there, and `export.json` last, when all is done."""

import csv
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.export.images import as_png, check_size, full_size_png
from facerefs.pipeline.export.read_set import ALL_SPLITS, SetSample, StoredImage
from facerefs.pipeline.storage.lock import LOCK_FILE
from facerefs.pipeline.text import plain_cell, web_link

EXPORT_FILE = "export.json"
FILES_FILE = "files.csv"
_UNFINISHED = ".unfinished.json"
_TEMPORARY = ".tmp-"
_MAX_STATE_BYTES = 1 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_COLUMNS = (
    *("file", "sample", "kind", "pixels", "split", "identity", "recipe", "face", "photo", "photo_sha256"),
    *("licence", "attribution", "url", "page"),
)


@dataclass(frozen=True)
class ExportState:
    """What an export is of; another one never writes into the same folder."""

    layout: str
    split: str
    fingerprint: str  # of the set

    @property
    def which(self) -> str:
        """Which samples, for a sentence."""
        return "all splits" if self.split == ALL_SPLITS else f"split {self.split}"


class ExportFolder:
    """Writes the files of one export, and `files.csv`: for each file its sample, face, photo and licence."""

    def __init__(self, root: Path, state: ExportState) -> None:
        self.root = root
        self.files = 0
        self.bytes = 0
        self._digests: dict[str, bytes] = {}  # of the stored image that was written under a name
        for path in root.glob(f"{_TEMPORARY}*"):  # what a killed export was writing
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._replace(_UNFINISHED, _json(asdict(state)))
        self._table = self.temporary(FILES_FILE).open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._table, lineterminator="\n")
        self._rows.writerow(_COLUMNS)

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        _check_name(name)
        self._replace(name, data)
        self.files += 1
        self.bytes += len(data)

    def temporary(self, name: str) -> Path:
        """Where a large file or a folder is written until `keep` gives it its name."""
        return self.root / f"{_TEMPORARY}{name}"

    def keep(self, name: str) -> None:
        """Give a complete temporary file or folder its name, in place of what a killed export has left there."""
        _check_name(name)
        final = self.root / name
        if final.is_dir():
            shutil.rmtree(final)
        self.temporary(name).replace(final)
        kept = [path for path in (final, *final.rglob("*")) if path.is_file()]
        self.files += len(kept)
        self.bytes += sum(path.stat().st_size for path in kept)

    def claim(self, name: str, image: StoredImage) -> bool:
        """Whether a name is new; false if this image has it already. Raises UserError if another image has it."""
        digest = hashlib.sha256(image.data).digest()
        if name in self._digests and self._digests[name] != digest:
            raise UserError(
                f"two different images would be {name}: the set is not one that facerefs built; "
                "`facerefs verify` says more"
            )
        return self._digests.setdefault(name, digest) is digest

    def has_other(self, name: str, image: StoredImage) -> bool:
        """Whether another image than this one has a name."""
        return self._digests.get(name) not in (None, hashlib.sha256(image.data).digest())

    def image(self, stem: str, image: StoredImage, sample: SetSample, kind: str, png: bool) -> str:
        """Write a ground truth or a reference, unless it is there already; returns its name.

        stem: the name without its extension. kind: `gt`, `ref0`, `ref1` ... png: whether the layout needs a PNG; if
        not, the file has the bytes of the shard.
        """
        name = f"{stem}.{'png' if png else image.extension}"
        if self.claim(name, image):
            if not png:
                check_size(image, sample.side_px)
            self.write(name, as_png(image, sample.side_px).data if png else image.data)
        self.note(name, sample, kind, "stored" if name.endswith(image.extension) else "PNG of the stored")
        return name

    def degraded(self, stem: str, sample: SetSample) -> str:
        """Write the degraded face at full size, as PNG; returns its name."""
        name = f"{stem}.png"
        if self.claim(name, sample.degraded):
            self.write(name, full_size_png(sample).data)
        self.note(name, sample, "lq", "resized back")
        return name

    def note(self, name: str, sample: SetSample, kind: str, pixels: str) -> None:
        """Add a line to `files.csv`. pixels: how they follow from the stored ones."""
        number = kind.removeprefix("ref")
        face = sample.record["references"][int(number)] if number.isdecimal() else sample.record["target"]
        about = (
            sample.key,
            kind,
            pixels,
            sample.split,
            sample.identity,
            sample.recipe,
            face["face"],
            face["key"],
        )
        stated = (
            _licence(face),
            face.get("attribution"),
            web_link(face.get("url")),
            web_link(face.get("page")),
        )
        self._rows.writerow([plain_cell(cell or "") for cell in (name, *about, face["image"], *stated)])

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Complete `files.csv` and write `export.json`, which marks the export as complete."""
        self._table.close()
        self.keep(FILES_FILE)
        self._replace(EXPORT_FILE, _json(summary))
        (self.root / _UNFINISHED).unlink()

    def _replace(self, name: str, data: bytes) -> None:
        path, temporary = self.root / name, self.root / f"{_TEMPORARY}file"
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)


def check_folder(root: Path, state: ExportState) -> bool:
    """Whether the folder holds this export already, complete. Raises UserError if it holds anything else."""
    if not root.exists():
        return False
    if not root.is_dir():
        raise UserError(f"{root} is a file, not a folder: choose another")
    names = {path.name for path in root.iterdir()} - {LOCK_FILE}
    if not names:
        return False
    file = next((root / name for name in (EXPORT_FILE, _UNFINISHED) if name in names), None)
    if file is None:
        raise UserError(f"{root} holds other files and no export: choose a new or empty folder for --out")
    found = _read_state(file)
    if found != state:
        held = "another export" if found is None else f"an export of {found.which} as {found.layout}"
        same_set = "" if found is None or found.fingerprint == state.fingerprint else " of another set"
        raise UserError(f"{root} holds {held}{same_set}: choose a new folder for --out, or delete that one")
    return file.name == EXPORT_FILE


def _read_state(file: Path) -> ExportState | None:
    try:
        with file.open("rb") as opened:
            tree = json.loads(opened.read(_MAX_STATE_BYTES))
        return ExportState(*(tree[name] for name in ("layout", "split", "fingerprint")))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _check_name(name: str) -> None:
    if not all(_PART.fullmatch(part) for part in name.split("/")):
        raise UserError(f"{name!r} is no name for a file of an export")


def _licence(face: Mapping[str, Any]) -> str | None:
    """The licence of a face's photo; of a reference made elsewhere also its own."""
    own = face.get("elsewhere", {}).get("licence")
    stated = face.get("licence")
    return stated if own is None else f"{stated or 'not stated'}; of what was made elsewhere: {own}"


def _json(tree: Mapping[str, Any]) -> bytes:
    return (json.dumps(tree, indent=1, sort_keys=True) + "\n").encode()
