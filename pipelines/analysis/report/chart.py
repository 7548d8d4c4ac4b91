"""A chart: what it shows, as a picture for either theme, as words, and as the table it is drawn from.

Matplotlib without a display, one picture at a time: its settings belong to the whole process. The same chart is
the same bytes: no dates, and ids that come from what is drawn. Text is drawn as shapes, so that no font is needed
where it is shown; title, description and table are there for who cannot see it.
"""

import io
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, cast

from pipelines.analysis.report.palette import LIGHT, Palette
from pipelines.analysis.report.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 7.2  # inches, a page's text
DPI = 200  # of a PNG
DRAWING = threading.Lock()
FIXED: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "heliostat",
    "text.parse_math": False,  # a model may have a dollar in its name
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """key: short and unique in a report. caption: how to read it, n and what the bars are. sheet: its figures.

    draw: puts it on a figure of `height` inches.
    """

    key: str
    title: str
    caption: str
    sheet: Sheet
    height: float
    draw: "Callable[[Figure, Palette], None]"

    def svg(self, theme: Palette = LIGHT) -> str:
        """The picture alone, as a file of its own: with its page's colour, title and description."""
        return self._named(self._drawn(theme, solid=True))

    def inline(self) -> str:
        """For a page that defines the palette's CSS variables: no background, colours by variable."""
        picture = self._named(self._drawn(LIGHT, solid=False))
        for variable, colour in LIGHT.variables.items():
            picture = picture.replace(colour, f"var({variable})")
        return picture

    def png(self, theme: Palette = LIGHT, dpi: int = DPI) -> bytes:
        """The picture as pixels."""
        target = io.BytesIO()
        with _figure(self, theme) as figure:
            figure.savefig(target, format="png", dpi=dpi, facecolor=theme.page, metadata={"Software": None})
        return target.getvalue()

    def _drawn(self, theme: Palette, *, solid: bool) -> str:
        target = io.StringIO()
        nothing: Mapping[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
        with _figure(self, theme) as figure:
            figure.savefig(target, format="svg", facecolor=theme.page if solid else "none", metadata=nothing)
        return target.getvalue()

    def _named(self, picture: str) -> str:
        """With a title and description, and ids that no other chart on a page has."""
        picture = picture[picture.index("<svg") :]
        picture = re.sub(r"<metadata>.*?</metadata>", "", picture, flags=re.DOTALL)
        picture = re.sub(r'\bid="', f'id="{self.key}-', picture)
        picture = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{self.key}-", picture)
        head, _, rest = picture.partition(">")
        head = re.sub(r' (width|height)="[^"]*"', "", head)  # as wide as there is room: the viewBox stays
        names = f'role="img" aria-labelledby="{self.key}-title {self.key}-desc"'
        title = f'<title id="{self.key}-title">{escape(self.title)}</title>'
        return f'{head} {names}>{title}<desc id="{self.key}-desc">{escape(self.caption)}</desc>{rest}'


def shown(label: str, most: int = 42) -> str:
    """A label as the charts' font can draw it, and not too long; the table beside a chart has it in full."""
    there = _characters()
    drawn = "".join(character if ord(character) in there else "□" for character in " ".join(label.split()))
    return drawn if len(drawn) <= most else drawn[: most - 1] + "…"


@contextmanager
def _figure(chart: Chart, theme: Palette) -> "Iterator[Figure]":
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colours: dict[str, Any] = {
        "text.color": theme.text,
        "axes.labelcolor": theme.text,
        "axes.edgecolor": theme.muted,
        "axes.facecolor": "none",
        "xtick.color": theme.text,
        "ytick.color": theme.text,
        "grid.color": theme.grid,
    }
    with DRAWING, mpl.rc_context(cast(Any, FIXED | colours)):
        figure = Figure(figsize=(WIDTH, chart.height))
        FigureCanvasAgg(figure)
        chart.draw(figure, theme)
        yield figure


@lru_cache(1)
def _characters() -> frozenset[int]:
    from matplotlib import font_manager, get_data_path

    return frozenset(font_manager.get_font(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf").get_charmap())
