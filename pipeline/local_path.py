"""Paths on this machine: an address is no path, and taken for one would be a folder named `s3:`."""

import re
from pathlib import Path

from facerefs.pipeline.errors import UserError

_SCHEME = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+]+:/")


def is_like_address(text: str) -> bool:
    """Whether a text begins as an address does, such as `s3://`, or the path that was made of one, `s3:/`."""
    return _SCHEME.match(text) is not None


def check_local(path: Path, what: str) -> None:
    """Raise UserError for an address where a local path is wanted. what: the option, as the user knows it."""
    if is_like_address(str(path)):
        raise UserError(
            f"{what} cannot be an address ({path}): choose a local folder, and copy it afterwards"
        )
