"""The colours of charts, light and dark: told apart by people who see few colours, and by shape as well.

Series are Okabe & Ito's (2008) hues, darkened for a light page and lightened for a dark one until each has a
contrast of 3:1 or more with the page (WCAG 1.4.11), text 7:1 (1.4.6), what is muted 4.5:1. A chart in a page has
the light one's values, each replaced by a CSS variable, so that one picture follows the reader's setting.
"""

from dataclasses import dataclass

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # a series is known by its shape, too
HEAT = "cividis"  # the same to people with and without red-green blindness; from dark to light in both themes
ON_LIGHT, ON_DARK = "#010203", "#fdfcfb"  # figures on a heat map's fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Hex colours. page: behind all. muted: what is there for orientation. series: in order of use."""

    name: str
    page: str
    text: str
    muted: str
    grid: str
    series: tuple[str, ...]

    @property
    def variables(self) -> dict[str, str]:
        """CSS variable -> colour."""
        named = {"--text": self.text, "--muted": self.muted, "--grid": self.grid}
        return named | {f"--series-{place}": colour for place, colour in enumerate(self.series)}


LIGHT = Palette(
    name="light",
    page="#ffffff",
    text="#1b1f24",
    muted="#5b6470",
    grid="#d8dce2",
    series=("#0068a8", "#b84a00", "#007d5a", "#a3457d", "#2f7fb3", "#8a6d00", "#4d4d9f", "#333a42"),
)
DARK = Palette(
    name="dark",
    page="#12161b",
    text="#e9ecf0",
    muted="#a9b2bd",
    grid="#343c46",
    series=("#56b4e9", "#f0883e", "#2fc79a", "#e29ac4", "#8cc8f2", "#e0c341", "#a6a6f0", "#c9d1d9"),
)
THEMES = {"light": LIGHT, "dark": DARK}


def contrast(first: str, second: str) -> float:
    """WCAG's contrast of two colours, 1 to 21."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
