"""File names as text that any table can hold, and back.

A file name on Linux is any bytes; a Parquet string is UTF-8. What is no UTF-8 is written as `\\xNN`, and so
that this can be undone, a backslash is written twice. All other names stay as they are.
"""

import os
import re

_ESCAPE = re.compile(rb"\\(\\|x[0-9a-f]{2})")


def text_of_path(path: str) -> str:
    """A path as `os` gives it (odd bytes as surrogates) -> valid UTF-8 text, another for every path."""
    return os.fsencode(path).replace(b"\\", rb"\\").decode("utf-8", "backslashreplace")


def path_of_text(text: str) -> str:
    """Undo `text_of_path`: the path to give to `open`."""
    return os.fsdecode(_ESCAPE.sub(_byte, text.encode()))


def _byte(escape: re.Match[bytes]) -> bytes:
    body = escape[1]
    return body if body == b"\\" else bytes.fromhex(body[1:].decode())
