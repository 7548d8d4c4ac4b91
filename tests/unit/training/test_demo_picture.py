from io import BytesIO

from PIL import Image

from cluster.engines.source import project_root
from pipelines.training.vision.pictures import demo_picture


def test_the_picture_that_readme_shows_is_the_one_that_the_demo_draws() -> None:
    """Compared as pixels: another Pillow may pack the same picture in other bytes."""
    shown = Image.open(project_root() / "docs" / "demo" / "picture.png")
    drawn = Image.open(BytesIO(demo_picture()))
    assert (shown.size, shown.tobytes()) == (drawn.size, drawn.tobytes())
