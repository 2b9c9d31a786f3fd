"""Which sample an exported file is of: a CSV with the columns `key` and `file`, or the `files.csv` of an export."""

import csv
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from facerefs.pipeline.errors import UserError

_MOST_BYTES = 256 << 20
_KEY, _FILE = "key", "file"
_OF_EXPORT, _KIND, _DEGRADED = "sample", "kind", "lq"


def read_names(path: Path, keys: Iterable[str]) -> dict[str, str]:
    """The keys of samples by the names of the files exported of them, without folders and endings.

    Names keep their folders if these alone tell them apart, as in the export of a set with several recipes. Lines of
    other samples are left out, and of an export all but those of degraded faces. Raises UserError if the file cannot be
    read, or if a name or a key is there twice.
    """
    wanted, found = set(keys), dict[str, str]()
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"--names {path} is larger than {_MOST_BYTES} bytes: is it a list of names?")
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file)
            columns = set(lines.fieldnames or ())
            is_export = {_OF_EXPORT, _KIND, _FILE} <= columns
            if not ({_KEY, _FILE} <= columns or is_export):
                raise UserError(f"--names {path} needs a first line with the columns {_KEY} and {_FILE}")
            for line in lines:
                key = line[_OF_EXPORT if is_export else _KEY] or ""
                if key not in wanted or (is_export and line[_KIND] != _DEGRADED):
                    continue
                place = PurePosixPath((line[_FILE] or "").replace("\\", "/"))
                if not place.name or ".." in place.parts:
                    raise UserError(f"--names {path} has no file for the sample {key}")
                name = str(place.with_suffix("")).lstrip("/")
                if name in found or key in found.values():
                    raise UserError(f"--names {path} has {name} or {key} twice: a sample has one name")
                found[name] = key
    except OSError as error:
        raise UserError(f"cannot read --names {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--names {path} is no CSV in UTF-8: {error}") from None
    if not found:
        raise UserError(f"--names {path} names no sample of this split")
    stems = [PurePosixPath(name).name for name in found]
    return dict(zip(stems, found.values(), strict=True)) if len(set(stems)) == len(stems) else found
