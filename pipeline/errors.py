"""The errors that end a command with one sentence instead of a traceback."""


class UserError(Exception):
    """What the user asked for cannot be done as asked: says the offending value and the way out; status 2."""


class RunError(Exception):
    """The run failed on the way: says what to do next; status 1. Nothing already written is lost."""

    def __init__(self, sentence: str, details: str = "", again: bool = True) -> None:
        super().__init__(sentence)
        self.details = details  # for a developer: a traceback
        self.again = again  # whether the same command goes on where this one ended
