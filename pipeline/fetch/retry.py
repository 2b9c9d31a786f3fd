"""Which URLs a build fetches again: finished ones of earlier runs, and in this run those that were put off."""

from enum import StrEnum


class Retry(StrEnum):
    """The values of `--retry`."""

    TRANSIENT = "transient"  # URLs that failed for a reason that may be temporary
    ALL = "all"  # all URLs; the host does not send photos again that have not changed


class Round(StrEnum):
    """What a run does with a part: URLs that failed for a reason that may heal are put off, and tried again later."""

    FIRST = "first"  # fetch what is missing; a part with URLs that are put off stays open
    AGAIN = "again"  # when all others are done: try again what was put off, and wait for hosts that fail
    LAST = "last"  # fetch nothing more: commit the part as it is
