"""Convert file names to text that every table can store, and back.

A file name on Linux may contain any bytes; a Parquet string is UTF-8. Bytes that are not UTF-8 are written as
`\\xNN`, and a backslash is doubled, so that the text can be converted back. All other names are unchanged.
"""

import os
import re

_ESCAPE = re.compile(rb"\\(\\|x[0-9a-f]{2})")


def text_of_path(path: str) -> str:
    """Valid UTF-8 text, unique for each path. path: as `os` returns it, with undecodable bytes as surrogates."""
    return os.fsencode(path).replace(b"\\", rb"\\").decode("utf-8", "backslashreplace")


def path_of_text(text: str) -> str:
    """The path for `open`: the inverse of `text_of_path`."""
    return os.fsdecode(_ESCAPE.sub(_byte, text.encode()))


def _byte(escape: re.Match[bytes]) -> bytes:
    body = escape[1]
    return body if body == b"\\" else bytes.fromhex(body[1:].decode())
