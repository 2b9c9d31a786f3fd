"""Photos and options that the page sends, within limits; nothing is written to disk."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import BodyPartReader, web

from facerefs.pipeline.errors import UserError
from facerefs.pipeline.text import shown, size

if TYPE_CHECKING:
    from facerefs.pipeline.restoring.photo import Photo

MOST_FILE_BYTES = 32_000_000
MOST_BYTES = 96_000_000  # of all files together
MOST_REFERENCES = 8
MOST_PIXELS = 24_000_000  # of each photo
_MOST_OPTION_BYTES = 400
_MOST_PARTS = MOST_REFERENCES + 10
_PIECE = 1 << 16
_OPTIONS = ("run", "faces", "strength", "person", "is_person")


@dataclass(frozen=True)
class Upload:
    """A file that was sent. name: as the browser calls it."""

    name: str
    data: bytes

    def photo(self) -> "Photo":
        """The decoded photo. Raises UserError."""
        from facerefs.pipeline.restoring.photo import photo_of

        return photo_of(Path(self.name), self.data, MOST_PIXELS)[0]


@dataclass(frozen=True)
class Restoring:
    """What to restore, and how. run: the number of the run. faces: all, the largest, or the number of one.

    person: the name of whom the references show. is_person: one of the faces is theirs, whatever the similarity.
    """

    photo: Upload
    references: tuple[Upload, ...] = ()
    run: int = 0
    faces: str = "all"
    strength: float = 1.0
    person: str = "person"
    is_person: bool = False


@dataclass
class _Received:
    files: dict[str, list[Upload]] = field(default_factory=lambda: {"photo": [], "reference": []})
    options: dict[str, str] = field(default_factory=dict)
    bytes: int = 0


async def received(request: web.Request) -> Restoring:
    """The photos and options of a request. Raises UserError for what is missing, too much or out of range."""
    if request.content_length is not None and request.content_length > MOST_BYTES + (_MOST_PARTS << 12):
        raise UserError(f"the files have more than {size(MOST_BYTES)} together: send fewer or smaller ones")
    got, parts = _Received(), 0
    try:
        async for part in await request.multipart():
            parts += 1
            if parts > _MOST_PARTS or not isinstance(part, BodyPartReader):
                raise UserError("the request has more parts than the page sends")
            await _receive(part, got)
    except (ValueError, AssertionError) as error:  # what aiohttp raises for what is no multipart form
        raise UserError(f"the request is not a form with files: {error}") from None
    return _checked(got)


async def _receive(part: BodyPartReader, got: _Received) -> None:
    name = part.name or ""
    if name in got.files:
        data = await _bounded(part, min(MOST_FILE_BYTES, MOST_BYTES - got.bytes), _file_name(part))
        got.bytes += len(data)
        if data:  # a field without a file is sent as an empty one
            got.files[name].append(Upload(_file_name(part), data))
        if len(got.files["reference"]) > MOST_REFERENCES:
            raise UserError(f"there are more than {MOST_REFERENCES} references: choose the best ones")
        if len(got.files["photo"]) > 1:
            raise UserError("there are two photos: one is restored at a time")
    elif name in _OPTIONS:
        text = await _bounded(part, _MOST_OPTION_BYTES, f"the option {name}")
        got.options[name] = text.decode("utf-8", errors="replace").strip()
    else:
        raise UserError(f"the request has an unknown field {shown(name)!r:.80}")


async def _bounded(part: BodyPartReader, most: int, what: str) -> bytes:
    data = bytearray()
    while piece := await part.read_chunk(_PIECE):
        data += piece
        if len(data) > most:
            limits = f"a file may have {size(MOST_FILE_BYTES)}, and all together {size(MOST_BYTES)}"
            raise UserError(f"{what} is too large: {limits}")
    return bytes(data)


def _file_name(part: BodyPartReader) -> str:
    name = (part.filename or "").replace("\\", "/").rpartition("/")[2]
    return str(shown(name))[:120] or "photo"


def _checked(got: _Received) -> Restoring:
    if not got.files["photo"]:
        raise UserError("there is no photo to restore: choose one")
    options = got.options
    return Restoring(
        got.files["photo"][0],
        tuple(got.files["reference"]),
        _number("run", options.get("run", "0")),
        _faces(options.get("faces", "all")),
        _strength(options.get("strength", "1")),
        str(shown(options.get("person") or "person")),
        options.get("is_person") == "on",
    )


def _faces(text: str) -> str:
    if text not in ("all", "largest") and not _number("faces", text):
        raise UserError("faces cannot be 0: choose all, the largest, or the number of a face from 1")
    return text


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise UserError(f"{name} cannot be {shown(text)!r:.60}: it is a whole number")
    return int(text)


def _strength(text: str) -> float:
    try:
        strength = float(text)
    except ValueError:
        strength = math.nan
    if not 0 <= strength <= 1:
        raise UserError(f"strength cannot be {shown(text)!r:.60}: choose a number from 0 to 1")
    return strength
