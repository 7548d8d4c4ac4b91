"""What a picture shows: the truth that it is drawn from and that questions are answered by.

Lengths are shares of the picture's longer side; x goes right, y down, from its upper left corner.
"""

from dataclasses import dataclass
from typing import Literal

from pipelines.training.vision.colours import Rgb

GroundKind = Literal["flat", "grain", "gradient", "stripes", "dots", "clouds", "clutter"]

SMALL, LARGE = 0.22, 0.45  # a thing up to this size is small, and from this size on large


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A shape or an icon. size: its longer side. edge: the width of the outline, 0 for none.

    hollow: only the outline is drawn, in the thing's colour.
    """

    kind: str
    colour: str
    rgb: Rgb
    x: float
    y: float
    size: float
    angle: float = 0.0
    aspect: float = 1.0
    edge: float = 0.0
    edge_rgb: Rgb = (0, 0, 0)
    hollow: bool = False

    @property
    def scale(self) -> str:
        """ "small", "large", or nothing for a size between."""
        return "small" if self.size <= SMALL else "large" if self.size >= LARGE else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Print:
    """Printed text, in up to two lines. size: the font's. text: as printed, lines parted by a newline."""

    text: str
    colour: str
    rgb: Rgb
    x: float
    y: float
    size: float
    font: str
    angle: float = 0.0

    @property
    def read(self) -> str:
        """The text as it is to be read aloud: in capitals, on one line."""
        return self.text.upper().replace("\n", " ")

    @property
    def numeric(self) -> bool:
        """Whether it is a number."""
        return self.text.isdigit()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The background. rgbs: its colours, the first the main one."""

    kind: GroundKind
    colour: str
    rgbs: tuple[Rgb, ...]

    @property
    def nameable(self) -> bool:
        """Whether it has one colour that everybody would name."""
        return self.kind in ("flat", "grain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture's content. width, height: the longer is 1."""

    width: float
    height: float
    ground: Ground
    things: tuple[Thing, ...] = ()
    prints: tuple[Print, ...] = ()
