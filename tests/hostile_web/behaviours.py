"""The table of behaviours: what a host does, and how the crawl of its URL has to end."""

from collections.abc import Iterator

from facerefs.schemas.reject import Reject
from tests.hostile import animated, encoded, png_bomb, portrait
from tests.hostile_web.answers import (
    answer,
    at_first,
    chunk,
    chunked,
    drips,
    gzip_bomb,
    gzipped,
    head,
    if_header,
    pauses,
    photo,
    redirects,
    repeats,
    says,
    wanders,
)
from tests.hostile_web.server import Behaviour, Level, Listener, Then

_MUCH = b"\xff\xd8\xff" + bytes((1 << 20) - 3)
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>' * 3
_HTML = b"<!DOCTYPE html><html><body>Please log in to see this photo.</body></html>" * 3
_GIF_AND_SCRIPT = b"GIF89a/*\0\0\0\0\0*/=1;alert(document.domain)//" + b";" * 200


def _sound() -> Iterator[Behaviour]:
    """Oddly, but rightly sent."""

    def hop(path: str, *pieces: bytes, then: Then = Then.KEEP, note: str) -> Behaviour:
        return Behaviour(path, None, Level.HOP, note, says(*pieces, then=then))

    yield hop("/healthy.jpg", answer(photo(1)), note="as it should be")
    yield hop("/chunked.jpg", chunked(photo(2)), note="in chunks of 1000 bytes")
    yield hop("/chunks_of_one.jpg", chunked(photo(3), 1), note="in chunks of 1 byte")
    yield hop(
        "/until_close.jpg", head(), photo(4), then=Then.CLOSE, note="no length: ends with the connection"
    )
    yield hop("/http10.jpg", b"HTTP/1.0 200 OK\r\n\r\n" + photo(5), then=Then.CLOSE, note="HTTP/1.0")
    coded = "Content-Encoding: "
    yield hop("/gzip.jpg", answer(gzipped(photo(6)), coded + "GZip"), note="gzip, though we ask for none")
    yield hop("/zlib.jpg", answer(gzipped(photo(7), 15), coded + "deflate"), note="deflate as zlib data")
    yield hop("/deflate.jpg", answer(gzipped(photo(8), -15), coded + "deflate"), note="deflate as raw data")
    yield hop("/identity.jpg", answer(photo(9), coded + "identity"), note="a needless Content-Encoding")
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    yield hop("/interim.jpg", interim, answer(photo(10)), note="1xx answers first")
    yield hop("/dies.jpg", answer(photo(12)), then=Then.DIE, note="closes when the connection is used again")
    second = answer(b"unasked", status="404 Not Found")
    yield hop("/unasked.jpg", answer(photo(13)), second, note="a second answer to no question")
    yield hop("/lies.jpg", answer(photo(14), type_="text/html"), note="a photo that is said to be HTML")
    noise = ("Content-Location: file:///etc/passwd", "Refresh: 0; url=http://127.0.0.1/", "Alt-Svc: h3=:1")
    yield hop("/noise.jpg", answer(photo(15), *noise), note="headers that might lead astray")
    yield hop(
        "/latin1.jpg", answer(photo(16)).replace(b"OK\r\n", b"OK\xe9\r\nX-Who: Zo\xeb\r\n"), note="Latin-1"
    )
    secure = says(answer(photo(17)))
    yield Behaviour("/secure.jpg", None, Level.HOP, "as it should be, over TLS", secure, Listener.HTTPS)


def _slow() -> Iterator[Behaviour]:
    def hop(path: str, note: str, serve: object, listener: Listener = Listener.HTTP) -> Behaviour:
        return Behaviour(path, Reject.TIMEOUT, Level.HOP, note, serve, listener)  # type: ignore[arg-type]

    half = photo()[:2000]
    yield hop("/silent.jpg", "takes the request, never answers", says(then=Then.HANG))
    yield hop("/slow_header.jpg", "a byte of the header at a time", drips(head("X: " + "y" * 9999), 0.1))
    yield hop("/stalls.jpg", "stops in the middle of the body", says(answer(photo())[:2000], then=Then.HANG))
    yield hop("/slow_body.jpg", "a byte of the body at a time", drips(answer(photo()), 0.05))
    yield hop("/slow_chunks.jpg", "a chunk of 1 byte at a time", drips(chunked(half, 1), 0.05))
    endless = repeats(head("Transfer-Encoding: chunked") + b"1;", b"x" * 100, 0.01)
    yield hop("/chunk_extension.jpg", "a chunk whose extension never ends", endless)
    yield hop("/mute_tls.jpg", "a TLS handshake that hangs", None, Listener.MUTE)


def _large() -> Iterator[Behaviour]:
    def hop(path: str, note: str, serve: object) -> Behaviour:
        return Behaviour(path, Reject.TOO_MANY_BYTES, Level.HOP, note, serve)  # type: ignore[arg-type]

    yield hop("/endless.jpg", "a body without length or end", repeats(head(), _MUCH))
    chunks = repeats(head("Transfer-Encoding: chunked"), chunk(_MUCH))
    yield hop("/endless_chunks.jpg", "chunks without end", chunks)
    announced = repeats(head("Content-Length: 1000000000000"), _MUCH)
    yield hop("/terabyte.jpg", "announces a TB, and sends it", announced)
    start, block = gzip_bomb()
    bomb = says(answer(start + 300 * block, "Content-Encoding: gzip"))
    yield hop("/gzip_bomb.jpg", "300 MB in 300 kB of gzip", bomb)
    coded = head("Transfer-Encoding: chunked", "Content-Encoding: gzip") + chunk(start)
    yield hop("/endless_gzip.jpg", "a gzip bomb in chunks without end", repeats(coded, chunk(block)))


def _broken() -> Iterator[Behaviour]:
    def lost(path: str, note: str, *pieces: bytes, then: Then = Then.CLOSE) -> Behaviour:
        return Behaviour(path, Reject.CONNECTION_LOST, Level.HOP, note, says(*pieces, then=then))

    yield lost("/closes.jpg", "closes instead of answering")
    yield lost("/resets.jpg", "resets the connection instead of answering", then=Then.RESET)
    yield lost("/closes_in_header.jpg", "closes in the middle of the header", answer(photo())[:30])
    yield lost("/closes_in_body.jpg", "fewer bytes than announced", answer(photo())[:2000])
    yield lost("/resets_in_body.jpg", "a reset in the body", answer(photo())[:2000], then=Then.RESET)
    yield lost("/closes_in_chunk.jpg", "no last chunk", chunked(photo())[:2000])
    nobody = (Reject.CONNECT_FAILED, Level.HOP, "nobody listens", None, Listener.NOBODY)
    yield Behaviour("/nobody.jpg", *nobody)
    hangs_up = ("accepts, then closes", None, Listener.HANGS_UP)
    yield Behaviour("/hangs_up.jpg", Reject.CONNECTION_LOST, Level.HOP, *hangs_up)


def _gibberish() -> Iterator[Behaviour]:
    def bad(path: str, note: str, *pieces: bytes, then: Then = Then.CLOSE) -> Behaviour:
        return Behaviour(path, Reject.BAD_ANSWER, Level.HOP, note, says(*pieces, then=then))

    def length(*said: str) -> bytes:
        return head(*(f"Content-Length: {text}" for text in said)) + photo()

    known = str(len(photo()))
    yield bad("/http09.jpg", "HTTP/0.9: a body and nothing else", photo())
    yield bad("/greeting.jpg", "speaks SSH", b"SSH-2.0-OpenSSH_9.6\r\n", then=Then.HANG)
    yield bad("/too_long.jpg", "more bytes than announced", answer(photo()) + b"more" * 99)
    yield bad("/version.jpg", "HTTP/9.9", answer(photo()).replace(b"HTTP/1.1", b"HTTP/9.9"))
    yield bad("/status.jpg", "a status that is no number", answer(photo(), status="OK OK"))
    yield bad("/two_lengths.jpg", "two lengths", length("10", known))
    yield bad("/length_list.jpg", "two lengths in one header", length(f"10, {known}"))
    yield bad("/negative.jpg", "a negative length", length("-1"))
    yield bad("/overflow.jpg", "a length of 30 digits", length("9" * 30))
    yield bad("/worded.jpg", "a length in words", length("many"))
    both = head("Transfer-Encoding: chunked", f"Content-Length: {known}")
    yield bad("/both_lengths.jpg", "a length, and chunks", both + chunk(photo()) + chunk(b""))
    sent = head("Transfer-Encoding: chunked")
    yield bad("/bad_chunk.jpg", "chunks that are none", sent + b"zz\r\n" + photo(), then=Then.HANG)
    late = sent + chunk(photo()) + b"-5\r\n"
    yield bad("/bad_second_chunk.jpg", "a chunk of negative size after a good one", late, then=Then.HANG)
    later = pauses(sent + chunk(photo()), b"-5\r\n", every_s=0.1)
    yield Behaviour("/late_bad_chunk.jpg", Reject.BAD_ANSWER, Level.HOP, "the same, a moment later", later)
    yield bad("/null.jpg", "a null byte in a header", head("X: a\0b", f"Content-Length: {known}") + photo())
    yield bad("/huge_field.jpg", "a header field of 100 kB", answer(photo(), "X: " + "y" * 100_000))
    yield bad("/many_fields.jpg", "5000 header fields", answer(photo(), *["X: y"] * 5000))
    wide = [f"X-{n}: " + "y" * 1000 for n in range(100)]
    yield bad("/wide_header.jpg", "100 header fields of 1 kB", answer(photo(), *wide))
    coded = "Content-Encoding: "
    yield bad("/brotli.jpg", "brotli, or so it says", answer(photo(), coded + "br"))
    yield bad("/gzip_twice.jpg", "gzip in gzip", answer(gzipped(gzipped(photo())), coded + "gzip, gzip"))
    yield bad("/no_gzip.jpg", "gzip, or so it says", answer(photo(), coded + "gzip"))
    yield bad("/cut_gzip.jpg", "gzip that ends early", answer(gzipped(photo())[:2000], coded + "gzip"))
    more = answer(gzipped(photo()) + b"more", coded + "gzip")
    yield bad("/long_gzip.jpg", "gzip with more behind it", more)

    def endless(path: str, note: str, start: bytes, piece: bytes) -> Behaviour:
        return Behaviour(path, Reject.BAD_ANSWER, Level.HOP, note, repeats(start, piece))

    yield endless("/endless_field.jpg", "a header field without end", b"HTTP/1.1 200 OK\r\nX: ", b"y" * 999)
    yield endless("/endless_fields.jpg", "fields without end", b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 99)
    yield endless("/endless_status.jpg", "a status line without end", b"HTTP/1.1 200 ", b"O" * 999)
    yield endless("/continues.jpg", "100 Continue without end", b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 9)


def _tls() -> Iterator[Behaviour]:
    healthy = says(answer(photo()))

    def tls(path: str, note: str, listener: Listener, url: str = "{scheme}://{netloc}{path}") -> Behaviour:
        return Behaviour(path, Reject.TLS, Level.HOP, note, healthy, listener, url)

    yield tls("/expired.jpg", "a certificate that has expired", Listener.EXPIRED)
    yield tls("/wrong_host.jpg", "somebody else's certificate", Listener.WRONG_HOST)
    yield tls("/untrusted.jpg", "a certificate that nobody whom we trust has signed", Listener.UNTRUSTED)
    yield tls("/plain.jpg", "HTTP where TLS is expected", Listener.BLURTS)
    no_http = ("TLS where HTTP is expected", healthy, Listener.HTTPS, "http://{netloc}{path}")
    yield Behaviour("/tls.jpg", Reject.CONNECTION_LOST, Level.HOP, *no_http)


def _urls() -> Iterator[Behaviour]:
    healthy = says(answer(photo(20)))

    def url(path: str, expected: Reject | None, note: str, url: str, level: Level = Level.URL) -> Behaviour:
        return Behaviour(path, expected, level, note, healthy, url=url)

    secret = "http://user:secret@{netloc}{path}"
    yield url("/secret.jpg", Reject.CREDENTIALS_IN_URL, "a password in the URL", secret)
    yield url("/data.jpg", Reject.FORBIDDEN_SCHEME, "data:", "data:image/gif;base64,R0lGODlhAQABAAAAACw=")
    yield url("/file.jpg", Reject.FORBIDDEN_SCHEME, "file:", "file:///etc/passwd")
    yield url("/ftp.jpg", Reject.FORBIDDEN_SCHEME, "ftp:", "ftp://{netloc}{path}")
    yield url("/no_scheme.jpg", Reject.BAD_URL, "no scheme", "//{netloc}{path}")
    yield url("/no_host.jpg", Reject.BAD_URL, "no host", "http:///{path}")
    yield url("/port.jpg", Reject.BAD_URL, "a port that cannot be", "http://127.0.0.1:99999{path}")
    yield url("/long.jpg", Reject.BAD_URL, "a URL of 9 kB", "http://{netloc}{path}?" + "x" * 9000)
    yield url("/newline.jpg", Reject.BAD_URL, "a newline in it", "http://{netloc}{path}\r\nHost: other")
    metadata = "http://169.254.169.254/latest/meta-data/"
    yield url("/metadata.jpg", Reject.PRIVATE_ADDRESS, "a cloud's metadata", metadata, Level.HOP)
    mapped = "http://[::ffff:a9fe:a9fe]/latest/meta-data/"
    yield url("/mapped.jpg", Reject.PRIVATE_ADDRESS, "the same as IPv6", mapped, Level.HOP)
    yield url("/anyhost.jpg", Reject.PRIVATE_ADDRESS, "the unspecified address", "http://0/", Level.HOP)
    for name, sent in {"Zoë/猫 1.jpg": "Zo%C3%AB/%E7%8C%AB%201.jpg", "a b.jpg": "a%20b.jpg"}.items():
        odd = f" http://{{netloc}}/{name}#fragment "
        note = f"{name!r} in the path"
        yield Behaviour(f"/{sent}", None, Level.HOP, note, says(answer(photo(len(name)))), url=odd)


def _redirects() -> Iterator[Behaviour]:
    def redirect(path: str, expected: Reject | None, location: str, status: str = "302 Found") -> Behaviour:
        note = f"a redirect to {location}"
        return Behaviour(path, expected, Level.FETCHER, note, redirects(location, status))

    def then_photo(path: str, location: str, status: str, seed: int) -> Behaviour:
        serve = at_first(1, answer(b"", f"Location: {location}", status=status), answer(photo(seed)))
        return Behaviour(path, None, Level.FETCHER, f"a redirect to {location}, and a photo there", serve)

    yield then_photo("/relative.jpg", "?size=large", "301 Moved", 30)
    yield then_photo("/dots.jpg", "/a/./b/../../dots.jpg?2", "307 Temporary", 31)
    yield then_photo("/accents.jpg", "?who=Zoë&where=東 京", "308 Permanent", 32)
    yield redirect("/circle.jpg", Reject.TOO_MANY_REDIRECTS, "/circle.jpg")
    note = "redirects to ever new URLs"
    yield Behaviour("/wanders.jpg", Reject.TOO_MANY_REDIRECTS, Level.FETCHER, note, wanders())
    yield redirect("/to_metadata.jpg", Reject.PRIVATE_ADDRESS, "http://169.254.169.254/latest/", "303 See")
    yield redirect("/to_decimal.jpg", Reject.PRIVATE_ADDRESS, "http://2852039166/")
    yield redirect("/to_file.jpg", Reject.FORBIDDEN_SCHEME, "file:///etc/passwd")
    yield redirect("/to_script.jpg", Reject.FORBIDDEN_SCHEME, "javascript:alert(1)")
    yield redirect("/to_secret.jpg", Reject.CREDENTIALS_IN_URL, "http://user:secret@127.0.0.1/")
    yield redirect("/to_nonsense.jpg", Reject.BAD_URL, "http://[::1")
    nowhere = says(answer(b"", status="302 Found"))
    yield Behaviour("/nowhere.jpg", Reject.BAD_ANSWER, Level.FETCHER, "a redirect to nowhere", nowhere)
    cookies = ("Set-Cookie: session=1; Path=/", "Location: ?again")
    baked = answer(b"", *cookies, status="302 Found")
    tracked = at_first(1, baked, answer(photo(33)))
    note = "sets a cookie, which must not come back"
    yield Behaviour("/cookie.jpg", None, Level.FETCHER, note, tracked)


def _statuses() -> Iterator[Behaviour]:
    def status(path: str, expected: Reject, said: str, *headers: str, body: bytes = b"no") -> Behaviour:
        serve = says(answer(body, *headers, status=said, type_="text/plain"))
        return Behaviour(path, expected, Level.FETCHER, f"HTTP {said} {' '.join(headers)}".strip(), serve)

    def healed(path: str, times: int, seed: int, said: str, *headers: str) -> Behaviour:
        serve = at_first(times, answer(b"", *headers, status=said), answer(photo(seed)))
        return Behaviour(path, None, Level.FETCHER, f"{times} times HTTP {said}, then a photo", serve)

    for code in (401, 403, 451):
        yield status(f"/{code}.jpg", Reject.FORBIDDEN, f"{code} No")
    for code in (404, 410):
        yield status(f"/{code}.jpg", Reject.NOT_FOUND, f"{code} Nothing")
    for code in (418, 999):
        yield status(f"/{code}.jpg", Reject.HTTP_STATUS, f"{code} Odd")
    yield status("/429.jpg", Reject.RATE_LIMITED, "429 Slowly")
    yield status("/429_soon.jpg", Reject.RATE_LIMITED, "429 Slowly", "Retry-After: 1")
    yield status("/429_absurd.jpg", Reject.RATE_LIMITED, "429 Slowly", "Retry-After: " + "9" * 400)
    yield status("/429_past.jpg", Reject.RATE_LIMITED, "429", "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT")
    yield status("/500.jpg", Reject.SERVER_ERROR, "500 Broken")
    yield status("/partial.jpg", Reject.HTTP_STATUS, "206 Partial", "Content-Range: bytes 0-9/99")
    yield status("/unchanged.jpg", Reject.HTTP_STATUS, "304 Not Modified", "ETag: x", body=b"")
    yield healed("/429_heals.jpg", 1, 34, "429 Slowly", "Retry-After: 1")
    yield healed("/503_heals.jpg", 1, 35, "503 Busy")
    none = says(head(status="204 No Content"))
    yield Behaviour("/204.jpg", Reject.HTTP_STATUS, Level.FETCHER, "HTTP 204", none)
    upgrade = says(head("Upgrade: websocket", "Connection: upgrade", status="101 Switching"), then=Then.HANG)
    yield Behaviour("/upgrade.jpg", Reject.HTTP_STATUS, Level.FETCHER, "becomes a WebSocket", upgrade)
    slow_404 = repeats(head("Content-Length: 9999", status="404 Nothing"), b"n", 0.05)
    yield Behaviour("/slow_404.jpg", Reject.NOT_FOUND, Level.FETCHER, "HTTP 404 with a slow body", slow_404)
    same = answer(photo(36), 'ETag: "v1"')
    unchanged = head('ETag: "v1"', status="304 Not Modified")
    etag = if_header("if-none-match", '"v1"', unchanged, same)
    yield Behaviour("/etag.jpg", None, Level.FETCHER, "HTTP 304 when asked again", etag)
    odd = if_header("if-none-match", None, answer(photo(37), "ETag: caf\u00e9\u2028"), same)
    yield Behaviour("/odd_etag.jpg", None, Level.FETCHER, "an ETag that cannot be sent back", odd)


def _owners() -> Iterator[Behaviour]:
    opted_out = says(answer(photo(40), "X-Robots-Tag: noai, noimageai"))
    yield Behaviour("/noai.jpg", Reject.OPT_OUT, Level.FETCHER, "X-Robots-Tag: noai", opted_out)
    disallowed = says(answer(photo(41)))
    yield Behaviour("/disallowed/1.jpg", Reject.ROBOTS, Level.FETCHER, "robots.txt forbids it", disallowed)


def _contents() -> Iterator[Behaviour]:
    def content(path: str, expected: Reject | None, level: Level, note: str, body: bytes) -> Behaviour:
        return Behaviour(path, expected, level, note, says(answer(body)))

    yield content("/empty.jpg", Reject.EMPTY, Level.FETCHER, "no bytes", b"")
    yield content("/html.jpg", Reject.NOT_AN_IMAGE, Level.FETCHER, "HTML said to be a JPEG", _HTML)
    yield content("/svg.jpg", Reject.NOT_AN_IMAGE, Level.FETCHER, "SVG with a script", _SVG)
    yield content("/short.jpg", Reject.NOT_AN_IMAGE, Level.FETCHER, "three bytes of text", b"no\n")
    yield content("/cut.jpg", Reject.TRUNCATED, Level.CRAWL, "half a JPEG, announced so", photo()[:4000])
    bomb = png_bomb(60_000, 60_000)
    yield content("/bomb.png", Reject.TOO_MANY_PIXELS, Level.CRAWL, "a PNG that says 60000x60000", bomb)
    dot = encoded(portrait(1, 1), "PNG")
    yield content("/dot.png", Reject.TOO_SMALL, Level.CRAWL, "a tracking pixel", dot)
    yield content("/moves.gif", Reject.ANIMATED, Level.CRAWL, "an animation", animated("GIF"))
    yield content("/script.gif", Reject.CORRUPT, Level.CRAWL, "GIF and JavaScript", _GIF_AND_SCRIPT)
    archive = photo(42) + b"PK\3\4 and so on"
    yield content("/archive.jpg", None, Level.CRAWL, "a photo with a ZIP archive behind it", archive)


_GROUPS = (_sound, _slow, _large, _broken, _gibberish, _tls, _urls, _redirects, _statuses, _owners, _contents)
BEHAVIOURS: dict[str, Behaviour] = {behaviour.path: behaviour for group in _GROUPS for behaviour in group()}
"""By path."""
