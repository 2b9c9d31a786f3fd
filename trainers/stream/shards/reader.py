"""Reads samples of several sets, keeping a bounded number of shards open."""

from collections import OrderedDict
from collections.abc import Sequence

from facerefs.trainers.stream.shards.files import OpenShard, SampleFiles
from facerefs.trainers.stream.shards.shards import ShardSet

_MAX_OPEN = 64


class ShardReader:
    """Reads samples in one process. When it is sent to another process, it opens its shards again there."""

    def __init__(self, sets: Sequence[ShardSet]) -> None:
        self.sets = sets
        self._open: OrderedDict[tuple[int, int], OpenShard] = OrderedDict()

    def __reduce__(self) -> tuple[type["ShardReader"], tuple[Sequence[ShardSet]]]:
        return ShardReader, (self.sets,)

    def files(self, source: int, row: int) -> SampleFiles:
        """The files of one sample. Raises BadSample; StreamError if its shard is missing."""
        shards = self.sets[source]
        shard = self._shard(source, int(shards.shard[row]))
        columns = shards.columns
        return SampleFiles(
            shard, bytes(columns.keys[row]), int(columns.offsets[row]), int(columns.lengths[row])
        )

    def shard_name(self, source: int, row: int) -> str:
        """The name of the shard that holds a sample."""
        return self.sets[source].shards[int(self.sets[source].shard[row])].name

    def _shard(self, source: int, number: int) -> OpenShard:
        place = (source, number)
        folder = self.sets[source].folder
        if place in self._open:
            self._open.move_to_end(place)
        else:
            self._let_go()
            shard = self.sets[source].shards[number]
            self._open[place] = OpenShard(folder.open(shard.name, shard.size, shard.sha256), shard.name)
        folder.used(self._open[place].descriptor)
        return self._open[place]

    def _let_go(self) -> None:
        """Close shards that the cache has removed, to free their disk space, and the oldest ones to open one more."""
        for place in [place for place, shard in self._open.items() if shard.is_deleted]:
            del self._open[place]
        while len(self._open) >= _MAX_OPEN:
            self._open.popitem(last=False)
