"""Which samples were corrupt: counted, and logged once each."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from facerefs.trainers.stream.workers.loading import Skipped

_log = logging.getLogger(__name__)


class SkipLog:
    """The corrupt samples that were met so far."""

    def __init__(self) -> None:
        self._met: dict[tuple[int, str, str], Skipped] = {}

    def add(self, skipped: Sequence[Skipped]) -> None:
        """Count samples that were skipped; the new ones are logged."""
        for skip in skipped:
            place = (skip.source, skip.shard, skip.key)
            if place in self._met:
                self._met[place] = replace(self._met[place], times=self._met[place].times + 1)
            else:
                self._met[place] = skip
                _log.warning(
                    "sample %s of %s is corrupt and was skipped: %s", skip.key, skip.shard, skip.reason
                )

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Each corrupt sample, in the order in which they were met."""
        return tuple(self._met.values())
