"""The request for the sample at one position of the stream."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SampleRequest:
    """One sample to be prepared.

    `epoch` is the number of times the sample was drawn before, so (sample, epoch) is always new, also with balanced
    and mixed sampling. It is the epoch in the usual sense if one source is drawn sample by sample.
    """

    position: int  # in the endless stream, over all ranks, from 0
    epoch: int
    source: int
    row: int  # of the source
