"""Changes bytes at random, as a fuzzer does."""

import random
from collections.abc import Sequence

_MAX_BYTES = 1 << 17
_TOKENS = (
    *(b"\x00", b"\xff\xff\xff\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b'"', b"'", b",", b"\t", b";"),
    *(
        b"[" * 200,
        b"{" * 200,
        b"-1",
        b"1e999",
        b"NaN",
        b"9" * 40,
        b"null",
        b"../../etc/passwd",
        b"/etc/passwd",
    ),
    *(
        b"<script>alert(1)</script>",
        b"=1+1",
        b"\xe2\x80\xae",
        b"\xed\xa0\x80",
        b"&a [*a,*a]",
        b"!!python/object",
    ),
    *(b"http://[::ffff:169.254.169.254]/", b"%00", b"\\u0000", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00"),
)


def mutated(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One of the seeds with one to eight changes."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        _change(data, seeds, rng)
    return bytes(data[:_MAX_BYTES])


def _change(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    length = min(rng.choice((1, 2, 4, 16, 256)), len(data) - at)
    match rng.randrange(7):
        case 0 if at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            data[at : at + length] = rng.randbytes(length)
        case 2:
            del data[at : at + length]
        case 3:
            data[at:at] = data[at : at + length] * rng.choice((1, 3, 50))
        case 4:
            del data[at:]
        case 5:
            other = rng.choice(seeds)
            begin = rng.randrange(len(other) + 1)
            data[at : at + length] = other[begin : begin + rng.choice((4, 64, 1024))]
        case _:
            data[at : at + rng.choice((0, length))] = rng.choice(_TOKENS)
