"""The fonts of printed words: those that come with Pillow and ReportLab, all freely licensed."""

from functools import cache, lru_cache
from pathlib import Path

from PIL import ImageFont

PLAIN = "aileron"  # comes with Pillow
_FILES = {
    "vera": "Vera.ttf",
    "vera bold": "VeraBd.ttf",
    "vera italic": "VeraIt.ttf",
    "sans": "_a______.pfb",
    "sans bold": "_ab_____.pfb",
    "sans italic": "_ai_____.pfb",
    "sans bold italic": "_abi____.pfb",
    "serif": "_er_____.pfb",
    "serif bold": "_eb_____.pfb",
    "serif italic": "_ei_____.pfb",
    "mono": "com_____.pfb",
    "mono bold": "cob_____.pfb",
    "vera bold italic": "VeraBI.ttf",
    "serif bold italic": "_ebi____.pfb",
}
UNSEEN = ("vera bold italic", "serif bold italic")  # kept for measuring
SEEN = (PLAIN, *(name for name in _FILES if name not in UNSEEN))


@cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Load a font; size is in pixels."""
    if name == PLAIN:
        loaded = ImageFont.load_default(size)
        assert isinstance(loaded, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
        return loaded
    return ImageFont.truetype(str(_folder() / _FILES[name]), size)


@lru_cache(maxsize=1)
def _folder() -> Path:
    import reportlab  # where the demonstration picture is drawn, it need not be installed

    return Path(reportlab.__file__).parent / "fonts"
