"""Pictures for tests, encoded in many ways."""

import base64
from io import BytesIO
from typing import Any

from PIL import Image


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def url(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def plain(colour: str = "red", size: tuple[int, int] = (96, 96)) -> Image.Image:
    return Image.new("RGB", size, colour)


def asked(address: str, text: str = "What colour is it?") -> list[dict[str, Any]]:
    parts = [{"type": "image_url", "image_url": {"url": address}}, {"type": "text", "text": text}]
    return [{"role": "user", "content": parts}]


def odd() -> dict[str, bytes]:
    """Red pictures that are unusual, and must all be readable."""
    red = plain()
    frames = [red, plain("blue")]
    turned = Image.Exif()
    turned[0x0112] = 6
    grey16 = Image.new("I;16", (96, 96), 40_000)
    return {
        "png": encoded(red),
        "jpeg": encoded(red, "JPEG"),
        "webp": encoded(red, "WEBP"),
        "gif": encoded(red, "GIF"),
        "animated gif": encoded(red, "GIF", save_all=True, append_images=frames[1:], duration=40),
        "rgba": encoded(red.convert("RGBA")),
        "palette": encoded(red.convert("P")),
        "grey": encoded(red.convert("L")),
        "one bit": encoded(red.convert("1")),
        "16 bits": encoded(grey16),
        "cmyk": encoded(red.convert("CMYK"), "JPEG"),
        "exif turned": encoded(red, "JPEG", exif=turned),
        "1 x 1": encoded(plain(size=(1, 1))),
        "10000 x 1": encoded(plain(size=(10_000, 1))),
        "1 x 10000": encoded(plain(size=(1, 10_000))),
        "progressive": encoded(red, "JPEG", progressive=True),
        "4000 x 3000": encoded(plain(size=(4000, 3000)), "JPEG"),
    }


def header_bomb() -> bytes:
    """A PNG of 65,535 x 65,535 pixels by its header, in a few bytes."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 65_535, 65_535, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


def refused() -> dict[str, tuple[str, str]]:
    """Addresses that are no picture, with the code of the refusal."""
    png = encoded(plain())
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1:1/x"/></svg>'
    return {
        "http": ("http://127.0.0.1:1/x.png", "invalid_image_url"),
        "https": ("https://192.168.0.1/x.png", "invalid_image_url"),
        "metadata service": ("http://169.254.169.254/latest/meta-data", "invalid_image_url"),
        "file": ("file:///etc/passwd", "invalid_image_url"),
        "a path": ("/etc/passwd", "invalid_image_url"),
        "ftp": ("ftp://127.0.0.1/x", "invalid_image_url"),
        "not base64": ("data:image/png,hello", "invalid_image_url"),
        "broken base64": ("data:image/png;base64,@@@@", "invalid_image_url"),
        "half a base64": ("data:image/png;base64,iVBOR", "invalid_image_url"),
        "no comma": ("data:image/png;base64", "invalid_image_url"),
        "no bytes": ("data:image/png;base64,", "image_parse_error"),
        "no picture type": (url(png, "application/pdf"), "unsupported_image_media_type"),
        "video": (url(png, "video/mp4"), "unsupported_image_media_type"),
        "svg": (url(svg, "image/svg+xml"), "unsupported_image_media_type"),
        "svg that says png": (url(svg), "unsupported_image_media_type"),
        "tiff": (url(encoded(plain(), "TIFF"), "image/tiff"), "unsupported_image_media_type"),
        "noise": (url(bytes(range(256))), "unsupported_image_media_type"),
        "half a png": (url(encoded(plain(size=(300, 300)))[:200]), "image_parse_error"),
        "half a jpeg": (url(encoded(plain(size=(900, 900)), "JPEG")[:900], "image/jpeg"), "image_parse_error"),
        "a header alone": (url(png[:20]), "image_parse_error"),
        "header bomb": (url(header_bomb()), "image_too_large"),
        "50 megapixels": (url(encoded(Image.new("1", (10_000, 5_000)))), "image_too_large"),
        "too many bytes": ("data:image/png;base64," + "A" * 28_000_000, "image_too_large"),
    }
