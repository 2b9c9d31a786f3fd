"""The bounds of one request, and its User-Agent."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WebLimits:
    """Bounds of every request, whatever a host answers."""

    user_agent: str
    connect_timeout_s: float = 10.0  # name, connection and TLS together
    idle_timeout_s: float = 20.0  # without a byte
    total_timeout_s: float = 120.0  # of one hop, from the request to the last byte
    max_header_bytes: int = 32 << 10  # all header fields of an answer
    allow_private_hosts: bool = False
