"""Draw what a picture shows: kinds of scenes, from a plain shape to several with a printed word."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from string import ascii_uppercase

from pipelines.training.vision import words
from pipelines.training.vision.colours import COLOURS, Rgb, shade, visible
from pipelines.training.vision.fonts import SEEN, UNSEEN
from pipelines.training.vision.icons import ICONS
from pipelines.training.vision.outlines import SHAPES, TURN
from pipelines.training.vision.scene import Ground, GroundKind, Print, Scene, Thing

KINDS = (*SHAPES, *ICONS)
_LIGHT: dict[str, Rgb] = {
    "white": (255, 255, 255),
    "yellow": (255, 240, 90),
    "cyan": (120, 240, 245),
    "pink": (255, 192, 203),
}
_DARK: dict[str, Rgb] = {"black": (0, 0, 0), "blue": (0, 0, 150), "red": (190, 20, 20), "green": (0, 100, 0)}
_FINE = frozenset({"pentagon", "hexagon", *ICONS})  # not told apart when small
_FINE_SIZE = 0.26
_TRIES = 6  # at placing things, each with smaller ones
_GROUND_SHARES: dict[GroundKind, float] = {
    "flat": 0.52,
    "grain": 0.1,
    "gradient": 0.12,
    "stripes": 0.06,
    "dots": 0.06,
    "clouds": 0.06,
    "clutter": 0.08,
}
_UNSEEN_SHARES: dict[GroundKind, float] = {
    "flat": 0.4,
    "grain": 0.1,
    "gradient": 0.15,
    "stripes": 0.1,
    "dots": 0.05,
    "clouds": 0.1,
    "clutter": 0.1,
}


def plain(rng: Random, *, unseen: bool) -> Scene:
    """A picture of one colour and nothing on it."""
    del unseen
    width, height = _sides(rng)
    colour = rng.choice(COLOURS)
    ground = Ground(kind=rng.choice(("flat", "grain")), colour=colour, rgbs=(shade(rng, colour),))
    return Scene(width=width, height=height, ground=ground)


def single(rng: Random, *, unseen: bool) -> Scene:
    """One shape."""
    return scatter(rng, [rng.choice(SHAPES)], unseen=unseen, sizes=(0.18, 0.9))


def icon(rng: Random, *, unseen: bool) -> Scene:
    """One icon, seldom two."""
    count = 1 if rng.random() < 0.75 else 2
    return scatter(rng, rng.sample(sorted(ICONS), count), unseen=unseen, sizes=(0.3, 0.9))


def pair(rng: Random, *, unseen: bool) -> Scene:
    """Two shapes of different kinds, at times an icon among them."""
    kinds = rng.sample(SHAPES if rng.random() < 0.85 else KINDS, 2)
    return scatter(rng, kinds, unseen=unseen, sizes=(0.16, 0.5))


def group(rng: Random, *, unseen: bool) -> Scene:
    """One to five of a kind."""
    count = rng.randint(1, 5)
    kind = rng.choice(SHAPES) if rng.random() < 0.9 else rng.choice(sorted(ICONS))
    one_colour = rng.random() < 0.6
    return scatter(rng, [kind] * count, unseen=unseen, sizes=(0.16, 0.42), one_colour=one_colour, alike=0.6)


def crowd(rng: Random, *, unseen: bool) -> Scene:
    """Three to five things of two or three kinds, in few colours."""
    kinds = rng.sample(SHAPES, rng.randint(2, 3))
    chosen = kinds + [rng.choice(kinds) for _ in range(rng.randint(1, 5 - len(kinds)))]
    rng.shuffle(chosen)
    return scatter(rng, chosen, unseen=unseen, sizes=(0.16, 0.34))


def text(rng: Random, *, unseen: bool) -> Scene:
    """A printed word, seldom two, each letter at least as wide as a patch of the model or nearly so."""
    return _printed(rng, _words(rng, unseen=unseen), unseen=unseen, sizes=(0.12, 0.42))


def fine_print(rng: Random, *, unseen: bool) -> Scene:
    """A printed word that may be too small to be read."""
    return _printed(rng, _words(rng, unseen=unseen), unseen=unseen, sizes=(0.08, 0.42))


def page(rng: Random, *, unseen: bool) -> Scene:
    """A printed word as most people print one: dark on light, at times light on dark, without much around it."""
    scene = text(rng, unseen=unseen)
    light, dark = _LIGHT[rng.choice(sorted(_LIGHT))], _DARK[rng.choice(sorted(_DARK))]
    names = {rgb: name for tones in (_LIGHT, _DARK) for name, rgb in tones.items()}
    if rng.random() < 0.5:
        light, dark = _LIGHT["white"], _DARK["black"]
    ink, paper = (light, dark) if rng.random() < 0.15 else (dark, light)
    ground = Ground(kind=rng.choice(("flat", "flat", "grain")), colour=names[paper], rgbs=(paper,))
    [line] = scene.prints
    return replace(scene, ground=ground, prints=(replace(line, colour=names[ink], rgb=ink),))


def letter(rng: Random, *, unseen: bool) -> Scene:
    """One letter."""
    return _printed(rng, rng.choice(ascii_uppercase), unseen=unseen, sizes=(0.2, 0.9))


def digits(rng: Random, *, unseen: bool) -> Scene:
    """A number."""
    return _printed(rng, words.number(rng), unseen=unseen, sizes=(0.14, 0.9))


def captioned(rng: Random, *, unseen: bool) -> Scene:
    """One or two shapes, and a word or a number above or below them."""
    scene = scatter(rng, rng.sample(SHAPES, rng.choice((1, 1, 2))), unseen=unseen, sizes=(0.18, 0.4), band=0.3)
    written = words.word(rng, unseen=unseen) if rng.random() < 0.75 else words.number(rng)
    line = _print(
        rng, written, scene.ground, scene.width, scene.height, unseen=unseen, sizes=(0.11, 0.24), band=0.27
    )
    captioned_scene = replace(scene, prints=(line,))
    return captioned_scene if rng.random() < 0.6 else _upside_down(captioned_scene)


MAKERS: dict[str, Callable[..., Scene]] = {
    "plain": plain,
    "single": single,
    "icon": icon,
    "pair": pair,
    "group": group,
    "crowd": crowd,
    "text": text,
    "fine print": fine_print,
    "page": page,
    "letter": letter,
    "digits": digits,
    "captioned": captioned,
}


def scatter(
    rng: Random,
    kinds: list[str],
    *,
    unseen: bool,
    sizes: tuple[float, float],
    one_colour: bool = False,
    alike: float = 0.0,
    band: float = 0.0,
) -> Scene:
    """Place things without overlap. alike: how often all are of one size. band: the lower share left free."""
    width, height = _sides(rng, wide=len(kinds) > 2 or band > 0)
    ground = _ground(rng, unseen=unseen)
    usual = visible(rng, ground.rgbs)
    room = min(width, height * (1 - band))
    spots = None
    tries = 0
    while spots is None:
        same = _size(rng, sizes, room) if rng.random() < alike else 0.0
        spots = _spots(rng, kinds, width, height * (1 - band), room, sizes, same)
        sizes = (sizes[0] * 0.95, max(sizes[1] * 0.85, sizes[0]))
        tries += 1
        if spots is None and tries % _TRIES == 0 and len(kinds) > 1:  # too many for the room
            kinds = kinds[:-1]
    things = []
    for kind, (x, y, size) in zip(kinds, spots, strict=True):
        colour, rgb = usual if one_colour else visible(rng, ground.rgbs)
        things.append(_thing(rng, kind, colour, rgb, (x, y, size)))
    return Scene(width=width, height=height, ground=ground, things=tuple(things))


def _spots(
    rng: Random, kinds: list[str], width: float, height: float, room: float, sizes: tuple[float, float], same: float
) -> list[tuple[float, float, float]] | None:
    spots: list[tuple[float, float, float]] = []
    for kind in kinds:
        for _ in range(25):
            size = same or _size(rng, sizes, room)
            size = max(size, min(_FINE_SIZE, 0.8 * room)) if kind in _FINE else size
            half = min(size * 0.55, width / 2, height / 2)
            x, y = rng.uniform(half, width - half), rng.uniform(half, height - half)
            if all(max(abs(x - a), abs(y - b)) > 0.56 * (size + c) for a, b, c in spots):
                spots.append((x, y, size))
                break
        else:
            return None
    return spots


def _size(rng: Random, sizes: tuple[float, float], room: float) -> float:
    lowest = sizes[0]
    skewed: float = rng.random() ** 1.4  # smaller ones more often
    return min(lowest + (sizes[1] - lowest) * skewed, 0.92 * room)


def _thing(rng: Random, kind: str, colour: str, rgb: Rgb, spot: tuple[float, float, float]) -> Thing:
    x, y, size = spot
    turn = TURN.get(kind, 8)
    angle = rng.uniform(-turn, turn) if rng.random() < 0.55 else 0.0
    aspect = 1.0
    if kind in ("rectangle", "oval"):
        aspect = rng.choice((1, -1)) * rng.uniform(1.5, 2.6)
        aspect = aspect if aspect > 0 else -1 / aspect
    elif kind == "diamond":
        aspect = rng.uniform(0.55, 0.9)
    hollow = kind not in ("ring", *ICONS) and size > 0.25 and rng.random() < 0.12
    edge, edge_rgb = 0.0, (0, 0, 0)
    if hollow:
        edge = rng.uniform(0.025, 0.06) if kind in ("circle", "oval") else rng.uniform(0.04, 0.09)
    elif kind not in ICONS and rng.random() < 0.12:
        edge, edge_rgb = rng.uniform(0.01, 0.03), visible(rng, (rgb,))[1]
    return Thing(
        kind=kind,
        colour=colour,
        rgb=rgb,
        x=x,
        y=y,
        size=size,
        angle=angle,
        aspect=aspect,
        edge=edge,
        edge_rgb=edge_rgb,
        hollow=hollow,
    )


def _words(rng: Random, *, unseen: bool) -> str:
    longest = 6 if rng.random() < 0.85 else 9
    first = words.word(rng, unseen=unseen, longest=longest)
    if longest == 6 and rng.random() < 0.12:
        # Cut to five letters, the first of two words may be one that is held out. So it was in the training of the
        # committed weights, in some four of a thousand words; it is left so that the command makes them again.
        return f"{first[:5]}{rng.choice((' ', chr(10)))}{words.word(rng, unseen=unseen, longest=5)}"
    return first


def _printed(rng: Random, written: str, *, unseen: bool, sizes: tuple[float, float]) -> Scene:
    width, height = _sides(rng, wide=len(written) > 2)
    ground = _ground(rng, unseen=unseen)
    line = _print(rng, written, ground, width, height, unseen=unseen, sizes=sizes, band=0.0)
    return Scene(width=width, height=height, ground=ground, prints=(line,))


def _print(
    rng: Random,
    written: str,
    ground: Ground,
    width: float,
    height: float,
    *,
    unseen: bool,
    sizes: tuple[float, float],
    band: float,
) -> Print:
    colour, rgb = visible(rng, ground.rgbs)
    if rng.random() < 0.35 and ground.colour in ("white", "yellow", "pink", "cyan"):
        colour, rgb = "black", (0, 0, 0)
    lines = written.split("\n")
    room = width / (0.72 * max(map(len, lines)))  # a bold capital is some 0.72 of the font's size wide
    high = (band or 0.8 * height) / (1.25 * len(lines))
    size = min(rng.uniform(*sizes), room * 0.95, high)
    case = rng.choices((str.upper, str.lower, str.capitalize), (0.5, 0.25, 0.25))[0]
    half_x, half_y = 0.36 * size * max(map(len, lines)), 0.6 * size * len(lines)
    top = height - band + half_y if band else half_y
    return Print(
        text="\n".join(" ".join(case(part) for part in line.split(" ")) for line in lines),
        colour=colour,
        rgb=rgb,
        x=rng.uniform(min(half_x, width / 2), max(width - half_x, width / 2)),
        y=rng.uniform(min(top, height - half_y), height - half_y),
        size=size,
        font=rng.choice((*SEEN, *UNSEEN) if unseen else SEEN),
        angle=rng.uniform(-10, 10) if not band and rng.random() < 0.3 else 0.0,
    )


def _upside_down(scene: Scene) -> Scene:
    """Swap top and bottom, every thing and line itself staying upright."""
    things = tuple(replace(thing, y=scene.height - thing.y) for thing in scene.things)
    prints = tuple(replace(line, y=scene.height - line.y) for line in scene.prints)
    return replace(scene, things=things, prints=prints)


def _sides(rng: Random, *, wide: bool = False) -> tuple[float, float]:
    """Draw width and height: mostly square, else up to twice as long as high."""
    if rng.random() < 0.5:
        return 1.0, 1.0
    short = rng.uniform(0.5, 1.0)
    return (1.0, short) if wide or rng.random() < 0.6 else (short, 1.0)


def _ground(rng: Random, *, unseen: bool) -> Ground:
    shares = _UNSEEN_SHARES if unseen else _GROUND_SHARES
    kind = rng.choices(tuple(shares), tuple(shares.values()))[0]
    colour = rng.choices(("white", "black", "grey", rng.choice(COLOURS)), (0.4, 0.1, 0.1, 0.4))[0]
    rgb = (255, 255, 255) if colour == "white" and rng.random() < 0.5 else shade(rng, colour)
    rgbs = [rgb]
    if kind == "gradient":
        rgbs.append(_near(rng, rgb, 80))
    elif kind in ("stripes", "dots", "clouds"):
        rgbs.append(_near(rng, rgb, 45))
    elif kind == "clutter":
        rgbs += [_near(rng, rgb, 45) for _ in range(3)]
    return Ground(kind=kind, colour=colour, rgbs=tuple(rgbs))


def _near(rng: Random, rgb: Rgb, reach: int) -> Rgb:
    red, green, blue = (min(max(level + rng.randint(-reach, reach), 0), 255) for level in rgb)
    return red, green, blue
