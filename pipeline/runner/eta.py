"""How long a whole build will still take: the rest of this stage as it goes, the later stages by their usual share."""

from dataclasses import dataclass

_USUAL_S: dict[str, float] = {
    "crawl": 0.03,
    "dedupe": 0.001,
    "analyse": 0.5,
    "label": 0.0002,
    "compare": 0.002,
    "cluster": 0.002,
    "select": 0.003,
    "shard": 0.15,
}
"""Seconds for each row on one core, in the order of the stages. Only the proportions matter, once a stage has run."""
_PARALLEL = frozenset({"crawl", "analyse", "shard"})
_TRUSTED_FROM_S = 2.0  # a shorter stage does not show how fast the machine is
_MOST = 10.0  # times slower or faster than usual


@dataclass
class BuildEta:
    """Estimates for one build on `workers` workers."""

    workers: int
    _pace: float = 1.0  # how much slower than usual this machine is

    def left_s(self, stage: str, stage_left_s: float, rows: int) -> float:
        """Seconds to the end of the build. rows: those of this stage in this run, which go on to the later ones."""
        names = list(_USUAL_S)
        later = names[names.index(stage) + 1 :] if stage in names else names
        return stage_left_s + self._pace * sum(self._usual_s(name, rows) for name in later)

    def stage_took(self, stage: str, seconds: float, rows: int) -> None:
        """Learn from a stage, or from its part so far, how fast this machine is."""
        usual_s = self._usual_s(stage, rows)
        if usual_s and seconds >= _TRUSTED_FROM_S:
            self._pace = min(max(seconds / usual_s, 1 / _MOST), _MOST)

    def _usual_s(self, stage: str, rows: int) -> float:
        return _USUAL_S.get(stage, 0.0) * rows / (self.workers if stage in _PARALLEL else 1)
