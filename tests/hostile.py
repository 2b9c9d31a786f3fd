"""Odd photos that must be read, and hostile files that must be refused, as bytes by name."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from facerefs.schemas.reject import Reject

EXIF_ORIENTATION = 274


def portrait(width: int = 96, height: int = 128, seed: int = 0) -> Image.Image:
    """A smooth RGB picture without any symmetry or clipped tones, the same for the same seed."""
    random = np.random.default_rng(seed)
    coarse = random.integers(40, 216, (16, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    """The file that Pillow makes of an image."""
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def oriented(image: Image.Image, orientation: int, format_: str = "JPEG") -> bytes:
    """A file that says in its EXIF how to turn it."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return encoded(image, format_, exif=exif)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG, with its length and CRC (PNG specification, section 5.3)."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with_chunk(kind: bytes, body: bytes) -> bytes:
    """A sound PNG with one more chunk right after its header."""
    png = encoded(portrait(), "PNG")
    end_of_header = 8 + 25
    return png[:end_of_header] + png_chunk(kind, body) + png[end_of_header:]


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of some 100 bytes that promises width x height pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (
        png_chunk(b"IHDR", header),
        png_chunk(b"IDAT", zlib.compress(bytes(64))),
        png_chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiff_of_tags(*tags: tuple[int, int, int, int]) -> bytes:
    """A little-endian TIFF with nothing but these (tag, type, count, value) entries."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)


def animated(format_: str) -> bytes:
    """Two different frames."""
    return encoded(portrait(), format_, save_all=True, append_images=[portrait(seed=1)])


def _palette_with_transparency() -> bytes:
    image = portrait().quantize(16)
    return encoded(image, "PNG", transparency=bytes([0] * 4 + [255] * 12))


def _grey16() -> bytes:
    return encoded(Image.fromarray(np.asarray(portrait().convert("L")).astype(np.uint16) * 257), "PNG")


def _with_alpha() -> Image.Image:
    image = portrait().convert("RGBA")
    image.paste((255, 0, 0, 0), (0, 0, 30, 30))
    return image


def _phone_jpeg() -> bytes:
    return encoded(portrait(), "MPO", save_all=True, append_images=[portrait(seed=1)])


def odd_photos() -> dict[str, bytes]:
    """Photos of 96x128 upright pixels that must be read, however odd."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"tmp.").replace(b"bXYZ", b"rXYZ").replace(b"tmp.", b"bXYZ")
    return {
        "plain.jpg": encoded(portrait(), "JPEG", quality=95),
        "plain.png": encoded(portrait(), "PNG"),
        "plain.webp": encoded(portrait(), "WEBP"),
        "plain.bmp": encoded(portrait(), "BMP"),
        "plain.gif": encoded(portrait(), "GIF"),
        "plain.tif": encoded(portrait(), "TIFF"),
        "cmyk.jpg": encoded(portrait().convert("CMYK"), "JPEG"),
        "cmyk.tif": encoded(portrait().convert("CMYK"), "TIFF"),
        "grey.jpg": encoded(portrait().convert("L"), "JPEG"),
        "grey_alpha.png": encoded(_with_alpha().convert("LA"), "PNG"),
        "alpha.png": encoded(_with_alpha(), "PNG"),
        "alpha.webp": encoded(_with_alpha(), "WEBP"),
        "palette.png": _palette_with_transparency(),
        "grey16.png": _grey16(),
        "bits.png": encoded(portrait().convert("1"), "PNG"),
        "colour_key.png": encoded(portrait(), "PNG", transparency=(1, 2, 3)),
        "srgb.jpg": encoded(portrait(), "JPEG", icc_profile=srgb),
        "broken_profile.jpg": encoded(portrait(), "JPEG", icc_profile=b"no profile at all" * 20),
        "grey_with_rgb_profile.jpg": encoded(portrait().convert("L"), "JPEG", icc_profile=srgb),
        "broken_exif.jpg": encoded(portrait(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40),
        "png_named.jpg": encoded(portrait(), "PNG"),
        "phone.jpg": _phone_jpeg(),
        "polyglot.jpg": encoded(portrait(), "JPEG") + b"<script>alert(1)</script>PK\3\4",
        "swapped_profile.jpg": encoded(
            Image.merge("RGB", portrait().split()[::-1]), "JPEG", icc_profile=swapped
        ),
    }


def hostile_files() -> dict[str, tuple[bytes, Reject]]:
    """Files that must be refused, and the reason to expect."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 96, 3), dtype=np.uint8))
    half: Callable[[bytes], bytes] = lambda data: data[: len(data) // 2]  # noqa: E731
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a" * 20_000_000, zip=True)
    width, height, bits, strips = (256, 4, 1), (257, 4, 1), (258, 3, 60_000), (273, 4, 2**31)
    return {
        "nothing.jpg": (b"", Reject.EMPTY),
        "page.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", Reject.NOT_AN_IMAGE),
        "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', Reject.NOT_AN_IMAGE),
        "archive.jpg": (b"PK\3\4" + encoded(portrait(), "JPEG"), Reject.NOT_AN_IMAGE),
        "script.png": (b"#!/bin/sh\nrm -rf /\n", Reject.NOT_AN_IMAGE),
        "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", Reject.NOT_AN_IMAGE),
        "float.tif": (encoded(portrait().convert("F"), "TIFF"), Reject.NOT_AN_IMAGE),
        "compressed.tif": (encoded(portrait(), "TIFF", compression="tiff_lzw"), Reject.NOT_AN_IMAGE),
        "half.jpg": (half(encoded(noise, "JPEG")), Reject.TRUNCATED),
        "half.png": (half(encoded(noise, "PNG")), Reject.TRUNCATED),
        "half.webp": (half(encoded(noise, "WEBP")), Reject.TRUNCATED),
        "half.gif": (half(encoded(noise, "GIF")), Reject.TRUNCATED),
        "half.bmp": (half(encoded(noise, "BMP")), Reject.TRUNCATED),
        "magic_only.jpg": (b"\xff\xd8\xff", Reject.CORRUPT),
        "magic_only.png": (b"\x89PNG\r\n\x1a\n", Reject.CORRUPT),
        "bomb.png": (png_bomb(50_000, 50_000), Reject.TOO_MANY_PIXELS),
        "small_bomb.png": (png_bomb(10_000, 10_000), Reject.TOO_MANY_PIXELS),
        "profile_bomb.png": (
            png_with_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(20_000_000))),
            Reject.CORRUPT,
        ),
        "text_bomb.png": (encoded(portrait(), "PNG", pnginfo=text), Reject.CORRUPT),
        "dot.png": (encoded(portrait(1, 1), "PNG"), Reject.TOO_SMALL),
        "line.png": (encoded(Image.new("RGB", (1, 100_000)), "PNG"), Reject.TOO_SMALL),
        "absurd.tif": (tiff_of_tags((*width, 2**31), (*height, 2**31), (*bits, 8)), Reject.CORRUPT),
        "absurd_strips.tif": (tiff_of_tags((*width, 99), (*height, 99), (*strips, 8)), Reject.CORRUPT),
        "moves.gif": (animated("GIF"), Reject.ANIMATED),
        "moves.webp": (animated("WEBP"), Reject.ANIMATED),
        "moves.png": (animated("PNG"), Reject.ANIMATED),
        "pages.tif": (animated("TIFF"), Reject.ANIMATED),
    }
