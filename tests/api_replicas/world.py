"""The content of the replicas: files, whom they depict, categories, people, and the results of Openverse."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MIMES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
}
CC = "https://creativecommons.org"
LICENCES = (  # LicenseShortName, LicenseUrl, AttributionRequired, Copyrighted
    ("CC BY-SA 4.0", f"{CC}/licenses/by-sa/4.0", "true", "True"),
    ("CC BY 2.0", f"{CC}/licenses/by/2.0", "true", "True"),
    ("CC0", "http://creativecommons.org/publicdomain/zero/1.0/deed.en", "false", "True"),
    ("Public domain", "", "false", "False"),
)
OPENVERSE_LICENCES = (
    ("by-sa", "4.0", f"{CC}/licenses/by-sa/4.0/"),
    ("by", "2.0", f"{CC}/licenses/by/2.0/"),
    ("cc0", "1.0", f"{CC}/publicdomain/zero/1.0/"),
    ("pdm", "1.0", f"{CC}/publicdomain/mark/1.0/"),
)


@dataclass
class File:
    """A file of Commons. `state`: "" if it exists, "lost" if only its page exists, "hidden" if it was suppressed."""

    pageid: int
    name: str  # without `File:`
    data: bytes
    mime: str = "image/jpeg"
    size: tuple[int, int] = (64, 48)
    metadata: dict[str, str] = field(default_factory=dict)
    uploads: tuple[str, ...] = ("2020-01-01T00:00:00Z",)  # newest first
    state: str = ""

    @property
    def title(self) -> str:
        return f"File:{self.name}"


@dataclass
class World:
    """Everything that the replicas serve."""

    files: dict[str, File] = field(default_factory=dict)  # by title
    depicted: dict[str, list[str]] = field(default_factory=dict)  # item -> titles, oldest first
    categories: dict[str, list[str]] = field(
        default_factory=dict
    )  # title -> titles of files and sub-categories
    names: dict[str, dict[str, str]] = field(default_factory=dict)  # item -> language -> label
    merged: dict[str, str] = field(default_factory=dict)  # item -> the item that it became
    openverse: dict[str, list[dict[str, Any]]] = field(
        default_factory=dict
    )  # name in small letters -> results

    def add(self, file: File, *items: str) -> File:
        self.files[file.title] = file
        for item in items:
            self.depicted.setdefault(item, []).append(file.title)
        return file

    def add_result(self, name: str, **result: Any) -> None:
        """A result of Openverse; `data` are its bytes."""
        self.openverse.setdefault(name.lower(), []).append(result)


def jpeg(seed: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """A JPEG of random pixels, another one for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def described(number: int, author: str) -> dict[str, str]:
    """extmetadata as templates of Commons fill it: HTML, with parts that are not shown."""
    licence, url, required, copyrighted = LICENCES[number % len(LICENCES)]
    hidden = '<span style="display: none;">creator QS:P170,Q1</span>'
    user = f'<a href="//commons.wikimedia.org/wiki/User:{author}" title="User:{author}">{author} &amp; Co</a>'
    metadata = {
        "LicenseShortName": licence,
        "LicenseUrl": url,
        "AttributionRequired": required,
        "Copyrighted": copyrighted,
        "Artist": f"{user}{hidden}",
        "Credit": '<span class="int-own-work" lang="en">Own work</span>',
        "ImageDescription": f"<b>Number {number}</b><br>in a garden",
        "Restrictions": "personality" if number % 2 else "",
        "DateTimeOriginal": "2019-05-04 10:00:00",
    }
    return {name: value for name, value in metadata.items() if value}


def world_of_folder(folder: Path) -> World:
    """The photos of a folder with one sub-folder per person: Q76 is the first of them, Q77 the second ..."""
    world, pageid = World(), 1000
    people = sorted(path for path in folder.iterdir() if path.is_dir())
    for number, person in enumerate(people):
        item = f"Q{76 + number}"
        world.names[item] = {"en": person.name}
        for path in sorted(path for path in person.iterdir() if path.is_file()):
            data = path.read_bytes()
            try:
                with Image.open(io.BytesIO(data)) as image:
                    mime, size = MIMES.get(image.format or "", "application/pdf"), image.size
            except OSError:
                continue
            pageid += 1
            name = f"{person.name} {path.name}".replace("_", " ")
            name = name[0].upper() + name[1:]  # as MediaWiki writes titles
            metadata = described(pageid, "Photographer")
            world.add(File(pageid, name, data, mime, size, metadata), item)
            code, version, url = OPENVERSE_LICENCES[pageid % len(OPENVERSE_LICENCES)]
            world.add_result(
                person.name, id=str(pageid), title=name, data=data, license=code, license_version=version,
                license_url=url, width=size[0], height=size[1],
            )  # fmt: skip
        world.categories[f"Category:{person.name}"] = list(world.depicted.get(item, []))
    return world
