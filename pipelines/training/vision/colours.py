"""The colours that pictures are drawn in, each name with the shades that people call so."""

from random import Random

Rgb = tuple[int, int, int]

SHADES: dict[str, tuple[Rgb, ...]] = {
    "red": ((255, 0, 0), (255, 0, 0), (220, 20, 60), (178, 34, 34), (200, 30, 30), (230, 57, 60), (214, 39, 40)),
    "green": ((0, 128, 0), (0, 255, 0), (34, 139, 34), (50, 205, 50), (46, 160, 67), (60, 179, 113), (0, 160, 60)),
    "blue": ((0, 0, 255), (0, 0, 255), (0, 0, 139), (30, 144, 255), (65, 105, 225), (31, 119, 180), (40, 70, 200)),
    "yellow": ((255, 255, 0), (255, 255, 0), (255, 221, 0), (250, 218, 50), (245, 235, 80), (240, 230, 60)),
    "orange": ((255, 165, 0), (255, 140, 0), (255, 127, 14), (243, 132, 0), (250, 150, 40), (255, 120, 10)),
    "purple": ((128, 0, 128), (148, 0, 211), (138, 43, 226), (106, 50, 159), (155, 89, 182), (110, 20, 150)),
    "pink": ((255, 192, 203), (255, 105, 180), (255, 20, 147), (240, 128, 170), (255, 150, 190), (255, 182, 193)),
    "brown": ((139, 69, 19), (121, 72, 50), (101, 67, 33), (150, 90, 40), (120, 60, 20), (160, 82, 45)),
    "black": ((0, 0, 0), (0, 0, 0), (12, 12, 14), (25, 25, 25), (20, 20, 28)),
    "white": ((255, 255, 255), (255, 255, 255), (250, 250, 250), (245, 245, 240), (248, 250, 255)),
    "grey": ((128, 128, 128), (128, 128, 128), (105, 105, 105), (150, 150, 150), (169, 169, 169), (120, 125, 130)),
    "cyan": ((0, 255, 255), (0, 255, 255), (64, 224, 208), (0, 206, 209), (0, 220, 230), (80, 235, 235)),
}
COLOURS = tuple(SHADES)

_APART = 105.0  # distance between colours that must not melt into each other
_TRIES = 60  # then black or white
_WANDER = 10  # of each channel around a shade


def shade(rng: Random, name: str) -> Rgb:
    """Draw a shade of a colour."""
    around = rng.choice(SHADES[name])
    if rng.random() < 0.4:
        return around
    red, green, blue = (min(max(level + rng.randint(-_WANDER, _WANDER), 0), 255) for level in around)
    if name in ("black", "white", "grey"):  # a tint would give them another name
        red = green = blue = (red + green + blue) // 3
    return red, green, blue


def apart(one: Rgb, other: Rgb) -> bool:
    """Say whether two colours are told apart easily; the eye weighs green most and blue least."""
    red, green, blue = (float(a - b) for a, b in zip(one, other, strict=True))
    return 0.8 * red * red + 1.4 * green * green + 0.6 * blue * blue >= _APART**2


def visible(rng: Random, grounds: tuple[Rgb, ...]) -> tuple[str, Rgb]:
    """Draw a colour and a shade that stand out from the grounds."""
    for _ in range(_TRIES):
        name = rng.choice(COLOURS)
        chosen = shade(rng, name)
        if all(apart(chosen, ground) for ground in grounds):
            return name, chosen
    bright = sum(grounds[0]) > 3 * 127
    return ("black", (0, 0, 0)) if bright else ("white", (255, 255, 255))
