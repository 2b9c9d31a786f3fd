"""Compare names of people and paths of photos that were typed in different ways."""

import unicodedata

_FILLERS = str.maketrans(
    dict.fromkeys("\u2800\u3164\uffa0\u115f\u1160", " ")
)  # letters that look like blanks
_NO_WIDTH = frozenset(
    {"Cf", "Cc"}
)  # zero-width blanks and joiners, BOM, soft hyphen, directions; control characters
_SELECTORS = frozenset({"\u034f", *map(chr, range(0xFE00, 0xFE10))})  # change no letter, only how it is drawn


def name_key(name: str) -> str:
    """The form in which all spellings of one name are equal; empty if nothing in the name can be seen.

    It is Unicode's NFKC, without invisible characters, with one blank for any blanks, and none at the ends: names are
    compared as RFC 8266 compares nicknames, but case counts. NFKC also unites the widths of East Asian letters. It is
    no form to show, since it changes the look of some letters. ASCII names stay as they are, but for their blanks.
    """
    if not (name.isascii() and name.isprintable()):
        name = "".join(" " if letter.isspace() else letter for letter in name if not _is_unseen(letter))
        name = unicodedata.normalize("NFKC", name.translate(_FILLERS))
    return " ".join(name.split())


def without_margins(name: str) -> str:
    """The name as it is written, without blanks and invisible characters at its ends."""
    seen = [
        i for i, letter in enumerate(name) if not (_is_unseen(letter) or letter.translate(_FILLERS).isspace())
    ]
    return name[seen[0] : seen[-1] + 1] if seen else ""


def path_key(path: str) -> str:
    """The form in which a path is equal as macOS (NFD) and as most others (NFC) write it."""
    return unicodedata.normalize("NFC", path)


def _is_unseen(letter: str) -> bool:
    if letter.isspace():
        return False
    return letter in _SELECTORS or unicodedata.category(letter) in _NO_WIDTH
