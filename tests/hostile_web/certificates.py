"""Certificates of a test's own authority, made by the openssl command: good ones and bad ones."""

import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def make_authority(folder: Path) -> Path:
    """Make a certificate authority; returns its PEM file, which clients are to trust."""
    _self_signed(folder, "authority", ["-addext", "keyUsage=critical,keyCertSign"])
    return folder / "authority.pem"


def good(folder: Path, addresses: Sequence[str]) -> ssl.SSLContext:
    """A server's context with a sound certificate for these IP addresses."""
    return _signed(folder, "good", ",".join(f"IP:{address}" for address in addresses), days=2)


def expired(folder: Path, addresses: Sequence[str]) -> ssl.SSLContext:
    """One that was good until yesterday."""
    return _signed(folder, "expired", ",".join(f"IP:{address}" for address in addresses), days=-1)


def wrong_host(folder: Path) -> ssl.SSLContext:
    """A sound one of somebody else's."""
    return _signed(folder, "wrong_host", "DNS:somebody-else.example", days=2)


def self_signed(folder: Path, addresses: Sequence[str]) -> ssl.SSLContext:
    """One that no authority has signed."""
    names = ",".join(f"IP:{address}" for address in addresses)
    _self_signed(folder, "self_signed", ["-addext", f"subjectAltName={names}"])
    return _context(folder, "self_signed")


def _self_signed(folder: Path, name: str, options: Sequence[str]) -> None:
    files = ["-keyout", f"{name}.key", "-out", f"{name}.pem"]
    _openssl(folder, "req", "-x509", *_KEY, *files, "-days", "2", "-subj", f"/CN=test {name}", *options)


def _signed(folder: Path, name: str, names: str, days: int) -> ssl.SSLContext:
    request = ["-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN=test {name}"]
    _openssl(folder, "req", *_KEY, *request, "-addext", f"subjectAltName={names}")
    signer = ["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial"]
    validity = ["-days", str(days), "-copy_extensions", "copy"]
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signer, *validity)
    return _context(folder, name)


def _context(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
