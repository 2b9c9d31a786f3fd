"""Which sample stands at a position of the stream."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SampleRequest:
    """One sample to be prepared.

    `epoch` says how many times the sample was drawn before, so that (sample, epoch) is always new, in balanced
    and mixed sampling too. It is the epoch in the usual sense if one source is drawn sample by sample.
    """

    position: int  # in the endless stream, over all ranks, from 0
    epoch: int
    source: int
    row: int  # of the source
