"""Draw scenes as pictures, wear them as cameras and encoders do, and cut them to the model's input."""

import io
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pipelines.training.vision.colours import Rgb
from pipelines.training.vision.fonts import PLAIN, font
from pipelines.training.vision.icons import ICONS, Stroke
from pipelines.training.vision.outlines import outline, turned
from pipelines.training.vision.scene import Ground, Print, Scene, Thing

Pixels = NDArray[np.uint8]

RING_WIDTH = 0.17  # of a ring's size
_PAD_LEVEL = 127  # what a picture that is no square is filled up with; so does the served model's processor
_GRAINS = 1024  # side of the sheet of noise that grain is cut from


def demo_picture() -> bytes:
    """Draw the demonstration's picture, always the same, as PNG: a red circle left of a blue square, and a word."""
    ground = Ground(kind="flat", colour="white", rgbs=((255, 255, 255),))
    circle = Thing(kind="circle", colour="red", rgb=(214, 39, 40), x=0.28, y=0.3, size=0.36)
    square = Thing(kind="square", colour="blue", rgb=(31, 90, 200), x=0.73, y=0.3, size=0.3)
    word = Print(text="SUN", colour="black", rgb=(0, 0, 0), x=0.5, y=0.61, size=0.18, font=PLAIN)
    scene = Scene(width=1.0, height=0.75, ground=ground, things=(circle, square), prints=(word,))
    return png(draw(scene, Random(0), longest=640))  # noqa: S311  # data, not secrets


def png(picture: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def draw(scene: Scene, rng: Random, *, longest: int) -> Image.Image:
    """Draw a scene. longest: of the picture's longer side, in pixels."""
    size = (max(round(scene.width * longest), 8), max(round(scene.height * longest), 8))
    picture = _ground(scene.ground, rng, size)
    pen = ImageDraw.Draw(picture)
    for thing in scene.things:
        if thing.kind in ICONS:
            _icon(pen, thing, longest)
        else:
            _shape(pen, thing, longest)
    for line in scene.prints:
        _print(picture, line, longest)
    return picture


def wear(picture: Image.Image, rng: Random) -> Image.Image:
    """Wear a picture: at times blurred, grainy, lighter or darker, compressed."""
    if rng.random() < 0.15:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0) * max(picture.size) / 120))
    if rng.random() < 0.2:
        picture = _grainy(picture, rng, rng.uniform(2, 14))
    if rng.random() < 0.1:
        light = rng.uniform(0.92, 1.08)
        picture = picture.point([min(int(level * light), 255) for level in range(256)] * 3)
    if rng.random() < 0.25:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=rng.randint(30, 95))
        picture = Image.open(buffer).convert("RGB")
    return picture


def fit(picture: Image.Image, side: int) -> Pixels:
    """Return the model's input, uint8 [side, side, 3]: padded to a square, then resized, as the processor does."""
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    if picture.width != picture.height:
        longest = max(picture.size)
        square = Image.new("RGB", (longest, longest), (_PAD_LEVEL,) * 3)
        square.paste(picture, ((longest - picture.width) // 2, (longest - picture.height) // 2))
        picture = square
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))


def corners(thing: Thing) -> list[tuple[float, float]]:
    """The outline of a thing, or the square around an icon, in the scene's lengths."""
    points = outline("square" if thing.kind in ICONS else thing.kind, thing.aspect)
    return [(thing.x + x * thing.size, thing.y + y * thing.size) for x, y in turned(points, thing.angle)]


def letter_boxes(line: Print) -> list[list[tuple[float, float]]]:
    """The corners of every character's box, spaces and newlines included, in the scene's lengths."""
    face = font(line.font, 64)
    unit = line.size / 64
    rows = line.text.split("\n")
    boxes: list[list[tuple[float, float]]] = []
    for number, row in enumerate(rows):
        middle = (number - (len(rows) - 1) / 2) * 1.2 * line.size
        whole = face.getlength(row) * unit
        for index in range(len(row)):
            left = face.getlength(row[:index]) * unit - whole / 2
            right = face.getlength(row[: index + 1]) * unit - whole / 2
            top, bottom = middle - 0.42 * line.size, middle + 0.42 * line.size
            box = turned(((left, top), (right, top), (right, bottom), (left, bottom)), line.angle)
            boxes.append([(line.x + x, line.y + y) for x, y in box])
        if number + 1 < len(rows):
            boxes.append([])
    return boxes


def _shape(pen: ImageDraw.ImageDraw, thing: Thing, scale: int) -> None:
    points = [(x * scale, y * scale) for x, y in corners(thing)]
    width = max(round(thing.edge * scale), 1)
    if thing.kind == "ring":
        thick = max(round(RING_WIDTH * thing.size * scale), 2)
        x, y, half = thing.x * scale, thing.y * scale, thing.size * scale / 2
        pen.ellipse((x - half, y - half, x + half, y + half), outline=thing.rgb, width=thick)
    elif thing.hollow:
        pen.line([*points, *points[:2]], fill=thing.rgb, width=max(width, 2), joint="curve")
    else:
        pen.polygon(points, fill=thing.rgb)
        if thing.edge:
            pen.line([*points, *points[:2]], fill=thing.edge_rgb, width=width)


def _icon(pen: ImageDraw.ImageDraw, thing: Thing, scale: int) -> None:
    tones = {"main": thing.rgb, "dark": _tone(thing.rgb, 0.45, 0), "light": _tone(thing.rgb, 0.4, 255)}
    if sum(thing.rgb) < 200:  # a dark icon's details are light
        tones["dark"] = _tone(thing.rgb, 0.45, 255)
    for stroke in ICONS[thing.kind]:
        _stroke(pen, stroke, thing, tones[stroke.tone], scale)


def _stroke(pen: ImageDraw.ImageDraw, stroke: Stroke, thing: Thing, rgb: Rgb, scale: int) -> None:
    angle = 0.0 if stroke.form in ("ellipse", "arc") else thing.angle
    points = [
        ((thing.x + x * thing.size) * scale, (thing.y + y * thing.size) * scale)
        for x, y in turned(stroke.points, angle)
    ]
    width = max(round(stroke.width * thing.size * scale), 1)
    if stroke.form == "polygon":
        pen.polygon(points, fill=rgb)
    elif stroke.form == "line":
        pen.line(points, fill=rgb, width=width, joint="curve")
    elif stroke.form == "ellipse":
        pen.ellipse(points, fill=rgb)
    else:
        pen.arc(points, stroke.start, stroke.end, fill=rgb, width=width)


def _print(picture: Image.Image, line: Print, scale: int) -> None:
    size = max(round(line.size * scale), 5)
    face = font(line.font, size)
    rows = line.text.split("\n")
    wide = int(max(face.getlength(row) for row in rows)) + size
    tile = Image.new("L", (wide, round(1.2 * size * len(rows)) + size))
    pen = ImageDraw.Draw(tile)
    for number, row in enumerate(rows):
        middle = tile.height / 2 + (number - (len(rows) - 1) / 2) * 1.2 * size
        pen.text((wide / 2, middle + 0.35 * size), row, font=face, fill=255, anchor="ms")
    if line.angle:
        tile = tile.rotate(-line.angle, Image.Resampling.BICUBIC, expand=True)
    corner = (round(line.x * scale - tile.width / 2), round(line.y * scale - tile.height / 2))
    picture.paste(line.rgb, corner, tile)


def _ground(ground: Ground, rng: Random, size: tuple[int, int]) -> Image.Image:
    first, second = ground.rgbs[0], ground.rgbs[-1]
    if ground.kind == "gradient":
        ramp = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270)))
        if rng.random() < 0.3:
            ramp = Image.radial_gradient("L")
        return Image.composite(Image.new("RGB", size, second), Image.new("RGB", size, first), ramp.resize(size))
    if ground.kind == "clouds":
        coarse = np.frombuffer(rng.randbytes(49), np.uint8).reshape(7, 7)
        mask = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        return Image.composite(Image.new("RGB", size, second), Image.new("RGB", size, first), mask)
    picture = Image.new("RGB", size, first)
    if ground.kind == "grain":
        return _grainy(picture, rng, rng.uniform(4, 18))
    pen = ImageDraw.Draw(picture)
    longest = max(size)
    if ground.kind == "stripes":
        step, slope = rng.uniform(0.04, 0.16) * longest, rng.choice((-1.0, 0.0, 1.0))
        upright = rng.random() < 0.5
        for n in range(-int(longest / step), int(2 * longest / step) + 1):
            start, end = n * step, n * step + slope * longest
            ends = (start, 0, end, longest) if upright else (0, start, longest, end)
            pen.line(ends, fill=second, width=max(round(step * 0.4), 1))
    elif ground.kind == "dots":
        step = rng.uniform(0.06, 0.16) * longest
        for column in range(int(size[0] / step) + 1):
            for row in range(int(size[1] / step) + 1):
                x, y, half = (column + 0.5) * step, (row + 0.5) * step, step * 0.16
                pen.ellipse((x - half, y - half, x + half, y + half), fill=second)
    elif ground.kind == "clutter":
        for _ in range(rng.randint(6, 18)):
            spots = [(rng.uniform(0, size[0]), rng.uniform(0, size[1])) for _ in range(2)]
            if rng.random() < 0.6:
                pen.line(spots, fill=rng.choice(ground.rgbs), width=rng.randint(1, max(longest // 40, 2)))
            else:
                (x, y), reach = spots[0], rng.uniform(0.02, 0.12) * longest
                pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=rng.choice(ground.rgbs))
    return picture


def _grainy(picture: Image.Image, rng: Random, deviation: float) -> Image.Image:
    left, top = rng.randrange(_GRAINS - picture.width), rng.randrange(_GRAINS - picture.height)
    grains = _sheet()[top : top + picture.height, left : left + picture.width, None]
    noisy = np.asarray(picture, np.int16) + (grains * deviation).astype(np.int16)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


@lru_cache(maxsize=1)
def _sheet() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((_GRAINS, _GRAINS), dtype=np.float32)


def _tone(rgb: Rgb, share: float, towards: int) -> Rgb:
    red, green, blue = (round(level + (towards - level) * share) for level in rgb)
    return red, green, blue
