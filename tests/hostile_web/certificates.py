"""Certificates of a test's own authority: good ones and bad ones."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import trustme


def authority() -> trustme.CA:
    """A certificate authority, which clients are to trust."""
    return trustme.CA()


def good(trusted: trustme.CA, addresses: Sequence[str]) -> ssl.SSLContext:
    """A server's context with a sound certificate for these IP addresses."""
    return _context(trusted.issue_cert(*addresses))


def expired(trusted: trustme.CA, addresses: Sequence[str]) -> ssl.SSLContext:
    """One that was good until yesterday."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return _context(
        trusted.issue_cert(*addresses, not_before=yesterday - timedelta(days=1), not_after=yesterday)
    )


def wrong_host(trusted: trustme.CA) -> ssl.SSLContext:
    """A sound one of somebody else's."""
    return _context(trusted.issue_cert("somebody-else.example"))


def untrusted(addresses: Sequence[str]) -> ssl.SSLContext:
    """One that nobody whom clients trust has signed."""
    return _context(trustme.CA().issue_cert(*addresses))


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
