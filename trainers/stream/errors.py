"""Errors of the stream, and of one sample."""


class StreamError(ValueError):
    """The stream cannot start or continue: one sentence with the wrong value and what to do."""


class BadSample(ValueError):  # noqa: N818  # not a bug: the stream continues with another sample
    """A sample is corrupt: says why. Raised by `prepare`; the stream reports it and takes another sample."""
