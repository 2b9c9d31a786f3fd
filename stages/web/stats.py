"""Statistics of what a worker has fetched so far, for the progress display."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from facerefs.schemas.reject import Reject

_HOSTS = 10_000


@dataclass
class HostStats:
    """The number of requests to one host, and the time that they took."""

    requests: int = 0
    seconds: float = 0.0

    @property
    def mean_s(self) -> float:
        """Mean seconds per request."""
        return self.seconds / max(self.requests, 1)


@dataclass
class FetchStats:
    """Photos, their bytes, reject reasons with counts, and how long each host took."""

    photos: int = 0
    bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    hosts: OrderedDict[str, HostStats] = field(default_factory=OrderedDict)

    @property
    def ended(self) -> int:
        """The number of URLs that have ended."""
        return self.photos + self.reasons.total()

    def record_result(self, reject: str | None, size: int) -> None:
        """Count a URL that has ended: a photo of `size` bytes, or a reject reason."""
        if reject is None:
            self.photos += 1
            self.bytes += size
        else:
            self.reasons[str(reject)] += 1

    def forget_transient(self) -> None:
        """Drop the counts of reasons that may heal: those URLs are tried again, and counted again."""
        for reason in [reason for reason in self.reasons if Reject(reason).transient]:
            del self.reasons[reason]

    def record_request(self, host: str, seconds: float) -> None:
        """Count a request that has ended, with an answer or without."""
        times = self.hosts.setdefault(host, HostStats())
        times.requests += 1
        times.seconds += seconds
        self.hosts.move_to_end(host)
        if len(self.hosts) > _HOSTS:
            self.hosts.popitem(last=False)

    def with_slowest_hosts(self, count: int) -> "FetchStats":
        """A copy with only the slowest `count` hosts, small enough to be sent often."""
        hosts = sorted(self.hosts.items(), key=lambda item: item[1].mean_s, reverse=True)[:count]
        return FetchStats(self.photos, self.bytes, Counter(self.reasons), OrderedDict(hosts))


def total(stats: Iterable[FetchStats]) -> FetchStats:
    """The sum over workers."""
    result = FetchStats()
    for one in stats:
        result.photos += one.photos
        result.bytes += one.bytes
        result.reasons += one.reasons
        for host, times in one.hosts.items():
            known = result.hosts.setdefault(host, HostStats())
            known.requests += times.requests
            known.seconds += times.seconds
    return result
