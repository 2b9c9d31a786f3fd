"""The settings of fetch, the stage that downloads photos. `facerefs.stages.fetcher` does the work."""

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from facerefs.schemas.tables import MAX_BLOB_BYTES
from facerefs.stages.web.limits import WebLimits

_VERSION = "0.1.0"  # of the project: its metadata does not travel to the workers of a cluster


@dataclass(frozen=True)
class Fetch:
    """Downloads the photo of each URL, as its host sends it, or gives a reject reason; many URLs wait at a time."""

    contact: str | None = None  # a mail address or the URL of a page, sent to every host in the User-Agent
    respect_robots: bool = True
    respect_opt_outs: bool = True  # X-Robots-Tag, TDM reservation
    allow_private_hosts: bool = False  # loopback and private networks: for tests and intranets
    ca_file: str | None = None  # certificates to trust besides the usual ones
    host_connections: Annotated[int, Ge(1), Le(256)] = 2  # to one host, of all workers together
    host_rate_per_s: Annotated[float, Gt(0)] | None = 10.0  # requests to one host, of all workers together
    connections: Annotated[int, Ge(1), Le(4096)] = 64  # of one worker, to all hosts together
    attempts: Annotated[int, Ge(1), Le(20)] = 3
    backoff_s: Annotated[float, Ge(0)] = (
        1.0  # before the second attempt; twice as long before each further one
    )
    longest_wait_s: Annotated[float, Ge(0)] = (
        60.0  # a host that asks for a longer wait is given up in this run
    )
    host_failures: Annotated[int, Ge(1)] = 8  # connections in a row that fail before a host is left alone
    max_redirects: Annotated[int, Ge(0), Le(20)] = 5
    max_bytes: Annotated[int, Ge(1), Le(MAX_BLOB_BYTES)] = 32 << 20
    buffer_bytes: Annotated[int, Ge(1)] = 256 << 20  # of one worker, for all photos on their way
    connect_timeout_s: Annotated[float, Gt(0)] = WebLimits.connect_timeout_s
    idle_timeout_s: Annotated[float, Gt(0)] = WebLimits.idle_timeout_s
    total_timeout_s: Annotated[float, Gt(0), Le(600)] = WebLimits.total_timeout_s

    reads: ClassVar[str] = "sources"
    writes: ClassVar[str] = "downloads"
    version: ClassVar[int] = 1
    cpus: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for a contact that no header can carry."""
        if self.contact is not None and not re.fullmatch(r"[!-~]+@[!-~]+|https?://[!-~]+", self.contact):
            raise ValueError(f"contact cannot be {self.contact!r}: give a mail address or the URL of a page")

    @property
    def user_agent(self) -> str:
        """The User-Agent header: the program and whom to write to (RFC 9110, 10.1.5)."""
        return f"facerefs/{_VERSION} ({self.contact or 'no contact given'})"

    @property
    def limits(self) -> WebLimits:
        """The bounds of one request."""
        return WebLimits(
            user_agent=self.user_agent,
            connect_timeout_s=self.connect_timeout_s,
            idle_timeout_s=self.idle_timeout_s,
            total_timeout_s=self.total_timeout_s,
            allow_private_hosts=self.allow_private_hosts,
        )

    def rules(self) -> dict[str, object]:
        """The settings that decide whether a photo is accepted; the others decide when and how often it is tried."""
        names = ("respect_robots", "respect_opt_outs", "allow_private_hosts", "max_redirects", "max_bytes")
        return {name: getattr(self, name) for name in names}
