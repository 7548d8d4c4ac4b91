"""Pictures in a chat request: the one place where foreign image bytes are read.

A picture arrives as a base64 data URL and nothing else, so that no request can make a server fetch an address
or open a file. PNG, JPEG, GIF and WebP are read, by those four decoders alone; size is judged from the header,
before a pixel is decoded. What comes out is upright (EXIF), RGB with eight bits a channel, transparent parts
white, no side longer than the limit, and of an animation the first frame. Pillow is imported when one is read.
"""

import asyncio
import base64
import binascii
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from cluster.errors import BadRequest, HeliostatError, ImageTooLarge, ImageUrlNotAllowed, UnreadableImage
from cluster.errors import UnsupportedImage as Unsupported
from cluster.settings.limits import LimitSettings

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
READ = "PNG, JPEG, GIF and WebP are read"
AS_DATA = "send the picture itself, as data:image/png;base64,…"
LOW_DETAIL = 512  # pixels of the longer side that `detail: low` is content with, as at OpenAI
DETAILS = (None, "auto", "low", "high")
ORIENTATION, UPRIGHT = 0x0112, (None, 0, 1)  # EXIF's tag, and its values for a picture that need not be turned
SHOWN_URL = 60  # characters of a refused URL that an error repeats
DECODERS = 2  # pictures decoded at once in a process: each may take a few hundred MB
BLANK = 64  # pixels of a side
_QUICK = 1  # PNG's compression: the engine undoes it at once


_threads = ThreadPoolExecutor(DECODERS, thread_name_prefix="pictures")  # none starts before the first picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture of a request. image: RGB, upright. url: the same as a data URL of a plain PNG, JPEG or WebP.

    place: where it stood, as `messages[0].content[1].image_url`.
    """

    image: "Image"
    url: str
    place: str


def has_pictures(messages: Any) -> bool:
    """Whether any message of a request, checked or not, shows something beside text."""
    return any(True for _ in _parts(messages))


def read_pictures(messages: Any, limits: LimitSettings) -> tuple[Picture, ...]:
    """The pictures of a request's messages, in their order. It takes milliseconds each: see `read_aside`.

    Raises ImageUrlNotAllowed, UnsupportedImage, UnreadableImage, ImageTooLarge and BadRequest, all with `param`.
    """
    pictures: list[Picture] = []
    pixels = 0
    for place, part in _parts(messages):
        if len(pictures) == limits.max_images:
            raise BadRequest(f"More than {limits.max_images} pictures in one request", param="messages")
        picture = _read_part(place, part, limits, limits.max_image_pixels - pixels)
        pixels += picture.image.width * picture.image.height
        pictures.append(picture)
    return tuple(pictures)


async def read_aside(messages: Any, limits: LimitSettings) -> tuple[Picture, ...]:
    """`read_pictures` in a thread, a few at a time, so that an event loop goes on meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_threads, read_pictures, messages, limits)


def with_pictures(messages: list[dict[str, Any]], pictures: tuple[Picture, ...]) -> list[dict[str, Any]]:
    """The messages with each picture's URL replaced by the one that was read; the given ones stay as they are."""
    urls = {picture.place: picture.url for picture in pictures}
    return [
        {**message, "content": [_replaced(part, urls.get(_place(at, index))) for index, part in enumerate(content)]}
        if isinstance(content := message.get("content"), list)
        else message
        for at, message in enumerate(messages)
    ]


def decode(url: str, limits: LimitSettings, *, place: str = "url") -> "Image":
    """One data URL as an upright RGB image. Raises as `read_pictures` does."""
    return read(url, limits, place=place).image


def read(
    url: str,
    limits: LimitSettings,
    *,
    place: str = "url",
    detail: str | None = None,
    pixels: int | None = None,
) -> Picture:
    """One data URL as a picture. pixels: how many it may have, the limit's own where None."""
    with _blaming(place):
        content = _content(url, limits)
        room = limits.max_image_pixels if pixels is None else pixels
        image, untouched = _decoded(content, room)
        # Some models' processors fill a picture up to a square first: a line of a million pixels would end them.
        side = min(LOW_DETAIL, limits.max_image_side) if detail == "low" else limits.max_image_side
        if max(image.size) > side:
            image.thumbnail((side, side))
            untouched = None
        encoded = content if untouched else _png(image)
        return Picture(image=image, url=_data_url(untouched or "PNG", encoded), place=place)


def blank() -> str:
    """A white picture as a data URL: for a model's first call, of which nobody reads the answer."""
    from PIL import Image

    return _data_url("PNG", _png(Image.new("RGB", (BLANK, BLANK), "white")))


def _parts(messages: Any) -> Iterator[tuple[str, Any]]:
    for at, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for index, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict) and part.get("type") == "image_url":
                yield _place(at, index), part


def _place(message: int, part: int) -> str:
    return f"messages[{message}].content[{part}].image_url"


def _replaced(part: Any, url: str | None) -> Any:
    return part if url is None else {"type": "image_url", "image_url": {"url": url}}


def _read_part(place: str, part: dict[str, Any], limits: LimitSettings, pixels: int) -> Picture:
    where = part.get("image_url")
    if not isinstance(where, dict) or not isinstance(where.get("url"), str):
        raise BadRequest(f"{place}: not an object with a url", hint=AS_DATA, param=place)
    unknown = sorted((part.keys() - {"type", "image_url"}) | (where.keys() - {"url", "detail"}))
    if unknown:  # vLLM would take a `uuid`, by which one client could be shown another's picture
        raise BadRequest(f"{place}: unknown field {unknown[0]!r}", hint="url and detail", param=place)
    if where.get("detail") not in DETAILS:
        param = f"{place}.detail"
        raise BadRequest(f"{param}: {where['detail']!r} is none", hint="auto, low or high", param=param)
    return read(where["url"], limits, place=place, detail=where.get("detail"), pixels=pixels)


def _content(url: str, limits: LimitSettings) -> bytes:
    """The bytes of a base64 data URL."""
    head, comma, data = url.partition(",")
    if head[:5].lower() != "data:":
        kind = "A file's address" if head[:5].lower() == "file:" else "An address"
        raise ImageUrlNotAllowed(f"{kind} is not fetched: {url[:SHOWN_URL]!r}", hint=AS_DATA)
    media_type, *words = head[5:].lower().split(";")
    if not comma or "base64" not in words:
        raise ImageUrlNotAllowed("The data URL is not base64", hint=AS_DATA)
    if not media_type.startswith("image/") or media_type.startswith("image/svg"):
        raise Unsupported(f"A picture of type {media_type[:SHOWN_URL]!r} is not read", hint=READ)
    data = "".join(data.split())  # some clients wrap lines
    if len(data) * 3 // 4 > limits.max_image_bytes:
        raise ImageTooLarge(
            f"The picture has {len(data) * 3 // 4} bytes, over the limit of {limits.max_image_bytes}",
            hint="send a smaller one",
        )
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ImageUrlNotAllowed("The data URL's base64 is broken", hint=AS_DATA) from None
    if not content:
        raise UnreadableImage("The picture has no bytes", hint=READ)
    return content


def _decoded(content: bytes, pixels: int) -> tuple["Image", str | None]:
    """An upright RGB image; and the format, where `content` itself is already just that."""
    from PIL import Image, UnidentifiedImageError

    try:
        image: Image.Image = Image.open(BytesIO(content), formats=FORMATS)
        width, height = image.size
        if width * height > pixels:
            raise ImageTooLarge(
                f"The picture has {width} x {height} pixels, and {max(pixels, 0)} are left of this request's limit",
                hint="send a smaller one",
            )
        image.load()
        turned = image.getexif().get(ORIENTATION) not in UPRIGHT
        plain = image.format in {"PNG", "JPEG", "WEBP"} and image.mode == "RGB" and not turned
        return _plain(image, turned=turned), image.format if plain else None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge("The picture has far too many pixels", hint="send a smaller one") from error
    except UnidentifiedImageError as error:
        raise Unsupported("The bytes are no picture of a known format", hint=READ) from error


def _plain(image: "Image", *, turned: bool) -> "Image":
    """An image of any mode, as RGB over white and the right way up."""
    import numpy as np
    from PIL import Image, ImageOps

    if turned:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits a pixel, which `convert` would clip
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        image = Image.new("RGB", shown.size, "white")
        image.paste(shown, mask=shown.getchannel("A"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _data_url(kind: str, encoded: bytes) -> str:
    return f"data:image/{kind.lower()};base64,{base64.b64encode(encoded).decode()}"


def _png(image: "Image") -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=_QUICK)
    return buffer.getvalue()


@contextmanager
def _blaming(place: str) -> Iterator[None]:
    """Whatever goes wrong is that picture's fault, and said in our words."""
    try:
        yield
    except HeliostatError as error:
        error.param = error.param or place
        raise
    except (
        Exception
    ) as error:  # decoders raise nearly anything on broken bytes: OSError, SyntaxError, struct.error …
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnreadableImage(f"The picture cannot be read: {reason}", hint=READ, param=place) from error
