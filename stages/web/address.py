"""Which URLs and which network addresses may be requested at all."""

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import inet_aton, inet_ntoa
from urllib.parse import quote, urljoin

from yarl import URL

from facerefs.schemas.reject import Reject

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Host name -> its IP addresses. Raises OSError (socket.gaierror is one) for a name without any."""

MAX_URL_CHARACTERS = 8192
_DETAIL_CHARACTERS = 200
_PARTS = re.compile(  # RFC 3986, appendix B
    r"(?P<scheme>[a-z][a-z0-9+.-]*):(//(?P<host>[^/?#]*))?(?P<path>[^?#]*)(\?(?P<query>[^#]*))?(#.*)?",
    re.DOTALL | re.IGNORECASE,
)
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^][]*\]|[^][:]+)(:(?P<port>[0-9]*))?")
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_ENDS_IN_NUMBER = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOT_SEGMENT = re.compile(r"/(\.|%2e)", re.IGNORECASE)
_DEFAULT_PORT = {"http": 80, "https": 443}
_LEGAL_IN_PATH = "%/:@!$&'()*+,;="  # RFC 3986, section 3.3, with the % of what is encoded already
_LEGAL_IN_QUERY = _LEGAL_IN_PATH + "?"

# IANA's registries of special-purpose addresses, as of 2025.
_INTERNAL = [
    ip_network(net)
    for net in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "100.64.0.0/10"),
        *("::1/128", "fc00::/7"),
    )
]
_NEVER_4 = [
    ip_network(net)
    for net in (
        *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
]
_UNICAST_6 = ip_network("2000::/3")
_NEVER_6 = [ip_network(net) for net in ("2001::/23", "2001:db8::/32", "3fff::/20")]
_NAT64 = ip_network("64:ff9b::/96")


class WebError(Exception):
    """Why there is no answer to a request, or why none was made.

    `detail` is shortened to 200 characters, and control characters in it are made visible, since it may hold text
    from the host. `status` is the HTTP status, if there was one; `retry_after_s` what the host asked for.
    """

    def __init__(
        self, reject: Reject, detail: str, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reject, detail, status, retry_after_s)
        self.reject = reject
        self.detail = _visible(detail)
        self.status = status
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.reject.sentence}: {self.detail}"


def _visible(text: str) -> str:
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: _DETAIL_CHARACTERS + 1])
    return shown if len(shown) <= _DETAIL_CHARACTERS else shown[: _DETAIL_CHARACTERS - 1] + "…"


def check_url(text: str) -> URL:
    """Normalise a URL -> http or https, host in lower case and IDNA, path and query in ASCII, no fragment.

    White space around it is dropped; what RFC 3986 forbids in a path or a query is percent-encoded as UTF-8,
    and dot segments are resolved, as a browser does. All else is requested as it is listed. A host that ends
    in a number is an IPv4 address (WHATWG URL, section 3.5), in whatever base: 0x7f.1 becomes 127.0.0.1.
    Raises WebError, and nothing else: BAD_URL, FORBIDDEN_SCHEME, CREDENTIALS_IN_URL.
    """
    text = text.strip()
    if _CONTROL.search(text):
        raise WebError(Reject.BAD_URL, f"control characters in {text}")
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise WebError(Reject.BAD_URL, f"no scheme in {text}")
    scheme = parts["scheme"].lower()
    if scheme not in _DEFAULT_PORT:
        raise WebError(Reject.FORBIDDEN_SCHEME, f"{scheme}:")
    if "@" in (parts["host"] or ""):
        raise WebError(Reject.CREDENTIALS_IN_URL, "in front of the host")  # not repeated: they are secret
    if len(text) > MAX_URL_CHARACTERS:
        raise WebError(Reject.BAD_URL, f"{len(text)} characters, at most {MAX_URL_CHARACTERS}")
    host = _host_and_port(parts["host"] or "", _DEFAULT_PORT[scheme])
    path = _without_dot_segments(_escaped(parts["path"], _LEGAL_IN_PATH)) or "/"
    query = "" if parts["query"] is None else "?" + _escaped(parts["query"], _LEGAL_IN_QUERY)
    if len(path) + len(query) > MAX_URL_CHARACTERS:
        raise WebError(Reject.BAD_URL, f"more than {MAX_URL_CHARACTERS} characters when encoded")
    return URL(f"{scheme}://{host}{path}{query}", encoded=True)


def join_url(base: URL, location: str) -> URL:
    """Resolve the Location header of an answer from `base` (a checked URL), and check it as `check_url` does.

    Bytes of the header that are no UTF-8 are taken as surrogate escapes, as aiohttp gives them.
    """
    location = location.strip()
    if _CONTROL.search(location):  # urljoin would silently drop some of them
        raise WebError(Reject.BAD_URL, f"control characters in {location}")
    if len(location) > MAX_URL_CHARACTERS:
        raise WebError(Reject.BAD_URL, f"{len(location)} characters, at most {MAX_URL_CHARACTERS}")
    try:
        target = urljoin(str(base), location)
    except ValueError as error:
        raise WebError(Reject.BAD_URL, f"{error}: {location}") from error
    return check_url(target)


@lru_cache(maxsize=1024)
def _host_and_port(text: str, default_port: int) -> str:
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None:
        raise WebError(Reject.BAD_URL, f"no host and port: {text}" if text else "no host")
    host = _ipv6(match["host"][1:-1]) if match["host"].startswith("[") else _ascii_host(match["host"])
    port = match["port"] or default_port
    if len(str(port)) > 5 or not 0 < int(port) < 2**16:
        raise WebError(Reject.BAD_URL, f"port {port}")
    return host if int(port) == default_port else f"{host}:{int(port)}"


def _ipv6(text: str) -> str:
    try:
        if "%" in text:
            raise ValueError("a zone id")
        return f"[{IPv6Address(text).compressed}]"
    except ValueError as error:
        raise WebError(Reject.BAD_URL, f"no IPv6 address: {text}") from error


def _ascii_host(text: str) -> str:
    try:  # yarl encodes by IDNA 2008 with UTS 46, like browsers
        host = text if text.isascii() else URL.build(scheme="http", host=text[:255]).raw_host or ""
    except ValueError as error:
        raise WebError(Reject.BAD_URL, f"no host name: {text}") from error
    host = host.lower().removesuffix(".")
    if not _HOST_NAME.fullmatch(host):
        raise WebError(Reject.BAD_URL, f"no host name: {text}")
    if not _ENDS_IN_NUMBER.fullmatch(host):
        return host
    try:
        return inet_ntoa(inet_aton(host))
    except OSError as error:
        raise WebError(Reject.BAD_URL, f"no IPv4 address: {text}") from error


def _escaped(text: str, legal: str) -> str:
    try:
        return quote(_STRAY_PERCENT.sub("%25", text).encode("utf-8", "surrogateescape"), safe=legal)
    except UnicodeEncodeError as error:
        raise WebError(Reject.BAD_URL, f"no Unicode text: {text}") from error


def _without_dot_segments(path: str) -> str:
    """RFC 3986, section 5.2.4; robots.txt could be evaded by them."""
    if not _DOT_SEGMENT.search(path):
        return path
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        plain = segment.lower().replace("%2e", ".")
        if plain == ".." and len(kept) > 1:
            kept.pop()
        elif plain not in (".", ".."):
            kept.append(segment)
    if segments[-1].lower().replace("%2e", ".") in (".", ".."):
        kept.append("")
    return "/".join(kept)


def is_allowed(address: str, allow_private: bool) -> bool:
    """Whether a connection to an IP address, given as text, may be opened.

    Public unicast addresses may; private, shared (CGNAT), loopback and unique local ones with `allow_private`.
    Link-local (a cloud's metadata), multicast, unspecified, documentation and other reserved ones never.
    For an IPv6 address that holds an IPv4 one (mapped, 6to4, NAT64), the IPv4 address decides.
    """
    try:
        ip = _unwrapped(ip_address(address))
    except ValueError:
        return False
    if any(ip in net for net in _INTERNAL):
        return allow_private
    if isinstance(ip, IPv4Address):
        return not any(ip in net for net in _NEVER_4)
    return ip in _UNICAST_6 and ip.scope_id is None and not any(ip in net for net in _NEVER_6)


def _unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(ip, IPv4Address) or ip.scope_id is not None:
        return ip
    if ip in _NAT64:  # RFC 6052
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
