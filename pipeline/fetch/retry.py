"""Which finished URLs a build fetches again."""

from enum import StrEnum


class Retry(StrEnum):
    """The values of `--retry`."""

    TRANSIENT = "transient"  # URLs that failed for a reason that may be temporary
    ALL = "all"  # all URLs; the host does not send photos again that have not changed
