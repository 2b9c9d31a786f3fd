"""A log of corrupt samples: each is counted, and logged once."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from facerefs.trainers.stream.workers.loading import Skipped

_log = logging.getLogger(__name__)


class SkipLog:
    """The corrupt samples that were skipped so far."""

    def __init__(self) -> None:
        self._met: dict[tuple[int, str, str], Skipped] = {}

    def add(self, skipped: Sequence[Skipped]) -> None:
        """Count skipped samples, and log the new ones."""
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
        """Each corrupt sample once, in the order of their first skip."""
        return tuple(self._met.values())
