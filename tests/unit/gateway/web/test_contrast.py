"""The colours of the pages against each other, as WCAG 2.2 measures them."""

import re

import pytest

from deployments.gateway.web.pages import CHECKOUT

TOKENS = CHECKOUT.parent / "src" / "style" / "tokens.css"
COLOURS = {
    name: {"light": light, "dark": dark}
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\(#(\w{6}), #(\w{6})\)", TOKENS.read_text())
}
GROUNDS = ("ground", "paper", "sunk")
TEXTS = ("ink", "ink-soft", "ink-faint", "accent", "good", "bad")
PAIRS = [
    *((text, ground, 4.5) for text in TEXTS for ground in GROUNDS),
    *((text, "accent-soft", 4.5) for text in ("ink", "ink-soft", "ink-faint", "accent")),
    *((text, "bad-soft", 4.5) for text in ("ink", "ink-faint")),
    ("ink", "mark", 4.5),
    ("on-primary", "primary", 4.5),
    *((edge, ground, 3.0) for edge in ("line-strong", "focus") for ground in GROUNDS),
]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_the_edges_of_controls_stand_out_from_every_ground(theme: str) -> None:
    weak = {
        (front, ground): round(found, 2)
        for front, ground, least in PAIRS
        if (found := contrast(COLOURS[front][theme], COLOURS[ground][theme])) < least
    }
    assert weak == {}


def test_the_contrast_of_black_on_white_is_the_greatest() -> None:
    assert contrast("000000", "ffffff") == pytest.approx(21)
