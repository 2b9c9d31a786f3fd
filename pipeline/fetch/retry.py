"""Which finished URLs a build asks for again."""

from enum import StrEnum


class Retry(StrEnum):
    """What follows `--retry`."""

    TRANSIENT = "transient"  # those whose failure may have healed
    ALL = "all"  # every one; photos that have not changed are not sent again
