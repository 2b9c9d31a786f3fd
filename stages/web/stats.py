"""What a worker has fetched so far: for the person who watches."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

_HOSTS = 10_000


@dataclass
class HostTimes:
    """Requests to one host, and the time that they took."""

    requests: int = 0
    seconds: float = 0.0

    @property
    def mean_s(self) -> float:
        """Seconds of one request."""
        return self.seconds / max(self.requests, 1)


@dataclass
class Tally:
    """Photos, their bytes, reasons of rejection, and how long each host took."""

    photos: int = 0
    bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    hosts: OrderedDict[str, HostTimes] = field(default_factory=OrderedDict)

    def ended(self, reject: str | None, size: int) -> None:
        """A URL came to its end."""
        if reject is None:
            self.photos += 1
            self.bytes += size
        else:
            self.reasons[str(reject)] += 1

    def asked(self, host: str, seconds: float) -> None:
        """A request ended, well or badly."""
        times = self.hosts.setdefault(host, HostTimes())
        times.requests += 1
        times.seconds += seconds
        self.hosts.move_to_end(host)
        if len(self.hosts) > _HOSTS:
            self.hosts.popitem(last=False)

    def slowest(self, count: int) -> "Tally":
        """The same with only the slowest hosts, small enough to be sent often."""
        hosts = sorted(self.hosts.items(), key=lambda item: item[1].mean_s, reverse=True)[:count]
        return Tally(self.photos, self.bytes, Counter(self.reasons), OrderedDict(hosts))


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum over workers."""
    result = Tally()
    for tally in tallies:
        result.photos += tally.photos
        result.bytes += tally.bytes
        result.reasons += tally.reasons
        for host, times in tally.hosts.items():
            known = result.hosts.setdefault(host, HostTimes())
            known.requests += times.requests
            known.seconds += times.seconds
    return result
