"""Which URLs and addresses may be asked: any text gives a normalised URL or a reason."""

import pickle
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from facerefs.schemas.reject import Reject
from facerefs.stages.web.address import WebError, check_url, is_allowed, join_url

ANY_TEXT = st.text(st.characters(exclude_categories=()))
URL_LIKE = st.builds(
    "".join,
    st.lists(
        st.sampled_from(
            ["http", "https", ":", "/", "//", "@", "?", "#", "[", "]", "%", "%2e", "..", "0x", "1"]
        )
        | st.sampled_from(
            ["xn--", "ü", "。", "example.com", "127.1", "::1", ":80", "\\", " ", "\n", "\udcff"]
        )
        | st.text(max_size=3)
    ),
).map(lambda rest: "http://" + rest)
SPELLINGS_OF_LOOPBACK = (
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001"),
    *(
        "0X7F.0.0.0x1",
        "127.0.0.1.",
        "１２７.０.０.１",
        "127。0。0。1",
        "[::ffff:127.0.0.1]",
        "[::FFFF:7F00:1]",
    ),
    *(
        "[::127.0.0.1]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[2002:7f00:1::]",
        "[64:ff9b::127.0.0.1]",
        "127.255.255.254",
    ),
)
NEVER = (
    *("169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::", "fe80::1"),
    *("0.0.0.0", "::", "::ffff:0:0", "255.255.255.255", "240.0.0.1", "224.0.0.1", "239.1.1.1", "ff02::1"),
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "198.18.0.1", "192.0.0.8"),
    *(
        "192.88.99.1",
        "fec0::1",
        "2001::1",
        "2001:2::1",
        "2001:10::1",
        "100::1",
        "64:ff9b:1::a00:1",
        "5f00::1",
    ),
    *("::8.8.8.8", "2001:0:808:808:8000:63bf:80ff:fffe", "2606:4700::1111%eth0", "fe80::1%1", "8.8.8.8%1"),
    *("", "localhost", "8.8.8", "0x08080808", "134744072", "8.8.8.8 ", "[::1]", "008.8.8.8"),
)
INTERNAL = (
    *("127.0.0.1", "127.255.0.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("::1", "fc00::1", "fdff::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:c0a8:101::1"),
)
PUBLIC = (
    *("8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "11.0.0.1", "223.255.255.255"),
    *("2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"),
)
OURS_ALONE = [
    ip_network("192.0.0.0/24"),
    ip_network("192.88.99.0/24"),
]  # retired; Python calls most of it global


def reason(text: str) -> Reject:
    with pytest.raises(WebError) as caught:
        check_url(text)
    return caught.value.reject


def checked(check: Callable[[], URL]) -> URL | None:
    """The URL, or None if it was properly refused."""
    refused: WebError | None = None
    try:
        return check()
    except WebError as error:
        refused = error
    assert refused.reject in (Reject.BAD_URL, Reject.FORBIDDEN_SCHEME, Reject.CREDENTIALS_IN_URL)
    assert len(refused.detail) <= 200
    assert refused.detail.isprintable()
    return None


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("http://example.com", "http://example.com/"),
        (" \n https://EXAMPLE.com:443/a.jpg#top\t", "https://example.com/a.jpg"),
        ("HTTP://example.com.:8080/A?b=C", "http://example.com:8080/A?b=C"),
        (
            "http://exämple.com/Zoë/猫 1.jpg?q=ä b",
            "http://xn--exmple-cua.com/Zo%C3%AB/%E7%8C%AB%201.jpg?q=%C3%A4%20b",
        ),
        ("http://example.com/100%/%41%zz", "http://example.com/100%25/%41%25zz"),
        ("http://example.com/a/./b/../%2E%2e/c//d/..", "http://example.com/c//"),
        ("http://example.com/../../etc", "http://example.com/etc"),
        ("http://example.com/?u=http://x/../y&s=a+b%2B", "http://example.com/?u=http://x/../y&s=a+b%2B"),
        ("http://a_b.example.com/\udce9", "http://a_b.example.com/%E9"),
        ("http://[2001:DB8::0:1]:8080/", "http://[2001:db8::1]:8080/"),
    ],
)
def test_urls_are_normalised(text: str, normalised: str) -> None:
    assert str(check_url(text)) == normalised


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(
            (text, Reject.BAD_URL)
            for text in ("", "photo.jpg", "//example.com/a", "/a", "http:", "http://", "http:a")
        ),
        *(
            (f"http://{host}/", Reject.BAD_URL)
            for host in (":80", "a:b", "a:0", "a:65536", "a:８０", "a b", "a..b")
        ),
        *(
            (f"http://{host}/", Reject.BAD_URL)
            for host in ("[::1", "::1", "[fe80::1%25eth0]", "[1.2.3.4]", "a%41")
        ),
        *(
            (f"http://{host}/", Reject.BAD_URL)
            for host in ("256.1.1.1", "1.2.3.4.5", "a.1", "0x", "a\\b", "a" * 64)
        ),
        *(
            (f"http://{host}/", Reject.BAD_URL)
            for host in ("a.b" * 99, "\ud800", "xn--a-ü", "ａ＠ｂ", "ａ：８０")
        ),
        ("http://a/b\nc", Reject.BAD_URL),
        ("http://a/\0", Reject.BAD_URL),
        ("http://a/\ud800", Reject.BAD_URL),
        ("http://a/" + "x" * 9000, Reject.BAD_URL),
        ("http://a/" + "猫" * 3000, Reject.BAD_URL),
        *(
            (text, Reject.FORBIDDEN_SCHEME)
            for text in ("file:///etc/passwd", "ftp://a/b", "javascript:1", "C:\\a.jpg")
        ),
        *(
            (text, Reject.FORBIDDEN_SCHEME)
            for text in ("data:image/png;base64," + "A" * 99999, "gopher://a", "blob:x")
        ),
        *(
            (f"http://{user}@a/", Reject.CREDENTIALS_IN_URL)
            for user in ("u", "u:p", ":", "", "b:80/".rstrip("/"))
        ),
    ],
)
def test_other_urls_are_refused(text: str, expected: Reject) -> None:
    assert reason(text) is expected


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(WebError) as caught:
        check_url("http://user:hunter2@example.com/")
    assert "hunter2" not in str(caught.value)


@given(ANY_TEXT | URL_LIKE)
@example("http://" + "0" * 5000)
@example("http://a:" + "9" * 5000)
def test_any_text_is_a_url_or_refused(text: str) -> None:
    url = checked(lambda: check_url(text))
    if url is None:
        return
    assert url.scheme in ("http", "https")
    assert url.raw_host
    assert str(url).isascii()
    assert not url.raw_fragment
    assert check_url(str(url)) == url


@pytest.mark.parametrize("host", SPELLINGS_OF_LOOPBACK)
def test_every_spelling_of_loopback_is_an_internal_address(host: str) -> None:
    assert not is_allowed((check_url(f"http://{host}/").raw_host or "").strip("[]"), allow_private=False)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/c", "http://a.com/c"),
        ("c", "http://a.com/x/c"),
        ("../c d", "http://a.com/c%20d"),
        ("?page=2", "http://a.com/x/y?page=2"),
        ("#end", "http://a.com/x/y?q"),
        ("", "http://a.com/x/y?q"),
        ("//b.com/c", "http://b.com/c"),
        (" https://B.com ", "https://b.com/"),
        ("/Zoë", "http://a.com/Zo%C3%AB"),
        ("/Zo\udceb", "http://a.com/Zo%EB"),
    ],
)
def test_locations_are_joined(location: str, target: str) -> None:
    assert str(join_url(URL("http://a.com/x/y?q"), location)) == target


@given(ANY_TEXT | URL_LIKE)
@example("http://[::1")
@example("//[")
@example("/a\tb")
def test_any_location_is_joined_or_refused(location: str) -> None:
    target = checked(lambda: join_url(URL("https://a.com/x/y"), location))
    assert target is None or target.scheme in ("http", "https")


@pytest.mark.parametrize(
    ("addresses", "plainly", "with_private"),
    [(PUBLIC, True, True), (INTERNAL, False, True), (NEVER, False, False)],
)
def test_addresses_are_allowed_or_refused(
    addresses: tuple[str, ...], plainly: bool, with_private: bool
) -> None:
    assert {address: is_allowed(address, allow_private=False) for address in addresses} == dict.fromkeys(
        addresses, plainly
    )
    assert {address: is_allowed(address, allow_private=True) for address in addresses} == dict.fromkeys(
        addresses, with_private
    )


@given(st.ip_addresses(v=4))
def test_ipv4_is_allowed_as_python_says_and_the_same_inside_ipv6(ip: IPv4Address) -> None:
    public = ip.is_global and not (ip.is_multicast or ip.is_reserved or any(ip in net for net in OURS_ALONE))
    assert is_allowed(str(ip), allow_private=False) == public
    internal = ip.is_private and not (ip.is_link_local or ip.is_reserved or ip.is_unspecified)
    if is_allowed(str(ip), allow_private=True) and not public:
        assert internal or ip in ip_network("100.64.0.0/10")
    for wrapped in (
        IPv6Address(0xFFFF << 32 | int(ip)),
        IPv6Address(0x64FF9B << 96 | int(ip)),
        IPv6Address(0x2002 << 112 | int(ip) << 80 | 1),
    ):
        for private in (False, True):
            assert is_allowed(str(wrapped), private) == is_allowed(str(ip), private)


@given(st.ip_addresses(v=6))
def test_ipv6_that_is_allowed_is_global(ip: IPv6Address) -> None:
    inner = ip.ipv4_mapped or ip.sixtofour or ip
    if is_allowed(str(ip), allow_private=False):
        assert inner.is_global
        assert not any([inner.is_multicast, inner.is_link_local, inner.is_loopback, inner.is_unspecified])
        assert ip.teredo is None


@given(ANY_TEXT)
def test_other_text_is_no_allowed_address(text: str) -> None:
    try:
        IPv4Address(text)
    except ValueError:
        assert ":" in text or not is_allowed(text, allow_private=True)


def test_an_error_shows_what_a_host_sent_without_control_characters() -> None:
    error = WebError(Reject.BAD_ANSWER, "\x1b[2J\u202e\udcff" + "x" * 1000, 200, 3.0)
    assert error.detail.startswith("\\x1b[2J\\u202e\\udcffx")
    assert len(error.detail) == 200
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.reject, copy.status, copy.retry_after_s) == (Reject.BAD_ANSWER, 200, 3.0)
