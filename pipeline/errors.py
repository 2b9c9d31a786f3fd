"""The errors that end a command with one sentence instead of a traceback."""


class UserError(Exception):
    """A mistake of the user. The message names the wrong value and how to correct it; exit status 2."""


class RunError(Exception):
    """A run that failed. The message says what to do next; exit status 1. Nothing already written is lost."""

    def __init__(self, sentence: str, details: str = "", again: bool = True) -> None:
        super().__init__(sentence)
        self.details = details  # for a developer: a traceback
        self.again = again  # whether the same command continues this run


class DamagedFileError(RunError):
    """A file of a build does not hold what was written: it changed since, or the disk lost some of it."""
