"""What can be wrong with shards, and with one sample in them."""


class StreamError(ValueError):
    """The stream cannot go on, or cannot start as asked: one sentence with the value and the way out."""


class BadSample(ValueError):  # noqa: N818  # it is a fact about data that the stream lives with
    """A sample is corrupt: says how. Raised by `prepare`; the stream reports it and takes another one."""
