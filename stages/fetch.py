"""The settings of fetch, the stage that downloads photos. `facerefs.stages.fetcher` does the work."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from facerefs.schemas.tables import MAX_BLOB_BYTES
from facerefs.stages.web.limits import WebLimits

_VERSION = "0.1.0"  # of the project: its metadata does not travel to the workers of a cluster


@dataclass(frozen=True)
class Fetch:
    """Downloads the photo of each URL, as its host sends it, or gives a reject reason; many URLs wait at a time."""

    contact: str | None = None
    """Your mail address, or the URL of a page about you, which every host is told."""
    respect_robots: bool = True
    """Whether robots.txt of a host decides what is fetched from it."""
    respect_opt_outs: bool = True
    """Whether photos are rejected whose owners reserve them (X-Robots-Tag, TDM Reservation Protocol); false only
    notes it."""
    allow_private_hosts: bool = False
    """Whether hosts in loopback and private networks may be asked too, for tests and intranets."""
    ca_file: str | None = None
    """PEM file of certificates that are trusted besides the usual ones."""
    host_connections: Annotated[int, Ge(1), Le(256)] = 2
    """Most connections to one host at the same time, of all workers together."""
    host_rate_per_s: Annotated[float, Gt(0)] | None = 10.0
    """Most requests to one host in a second, of all workers together; null sets no limit."""
    connections: Annotated[int, Ge(1), Le(4096)] = 64
    """Most connections of one worker at the same time, to all hosts together."""
    attempts: Annotated[int, Ge(1), Le(20)] = 3
    """How often a URL is tried if it fails for a reason that may heal; what failed is tried as often again when all
    other URLs are done."""
    backoff_s: Annotated[float, Ge(0)] = 1.0
    """Pause in seconds before the second attempt; each further pause is twice as long, and all vary at random by
    half."""
    longest_wait_s: Annotated[float, Ge(0)] = 60.0
    """Longest wait in seconds that a host may ask for; the URLs of one that asks for more are put off to the end of
    the run, where five times as long is waited."""
    host_failures: Annotated[int, Ge(1)] = 8
    """Requests to a host without an answer in a row before its other URLs are put off to the end of the run."""
    host_patience_s: Annotated[float, Ge(0)] = 90.0
    """For how many seconds a host may fail all requests, or nearly all of many, before it is given up in this run."""
    max_redirects: Annotated[int, Ge(0), Le(20)] = 5
    """Most redirects that are followed for one URL."""
    max_bytes: Annotated[int, Ge(1), Le(MAX_BLOB_BYTES)] = 32 << 20
    """Most bytes of one photo, as sent and unpacked."""
    buffer_bytes: Annotated[int, Ge(1)] = 256 << 20
    """Most bytes in the memory of one worker for all photos on their way."""
    connect_timeout_s: Annotated[float, Gt(0)] = WebLimits.connect_timeout_s
    """Longest time in seconds to find a host, connect and agree on TLS."""
    idle_timeout_s: Annotated[float, Gt(0)] = WebLimits.idle_timeout_s
    """Longest time in seconds without a byte from the host."""
    total_timeout_s: Annotated[float, Gt(0), Le(600)] = WebLimits.total_timeout_s
    """Longest time in seconds for one request, up to its last byte."""

    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {"sources": ("key", "url", "sha256", "photo", "reject")}
    writes: ClassVar[str] = "downloads"
    version: ClassVar[int] = 1
    cpus: ClassVar[float] = 1.0
    # The settings that decide what becomes of a URL; the others only how soon, and whether at this attempt.
    rules: ClassVar[tuple[str, ...]] = (
        *("respect_robots", "respect_opt_outs", "allow_private_hosts", "max_redirects", "max_bytes"),
    )

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
