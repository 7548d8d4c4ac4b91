"""Pictures are drawn from their scene, always the same for the same seed."""

import io
from random import Random

import pytest
from PIL import Image

from pipelines.training.vision.colours import COLOURS, SHADES, apart
from pipelines.training.vision.icons import ICONS
from pipelines.training.vision.layout import MAKERS
from pipelines.training.vision.outlines import SHAPES
from pipelines.training.vision.pictures import demo_picture, draw, fit, png, wear
from pipelines.training.vision.scene import Ground, Print, Scene, Thing

WHITE = Ground(kind="flat", colour="white", rgbs=((255, 255, 255),))
RED = (220, 30, 30)


def shown(kind: str, **changes: object) -> Scene:
    thing = Thing(kind=kind, colour="red", rgb=RED, x=0.5, y=0.5, size=0.6, **changes)
    return Scene(width=1.0, height=1.0, ground=WHITE, things=(thing,))


@pytest.mark.parametrize("maker", MAKERS)
def test_the_same_seed_draws_the_same_picture(maker) -> None:
    def once() -> bytes:
        rng = Random(7)
        return png(wear(draw(MAKERS[maker](rng, unseen=False), rng, longest=96), rng))

    assert once() == once()


@pytest.mark.parametrize("kind", [kind for kind in SHAPES if kind != "ring"])
def test_a_shapes_middle_has_its_colour(kind) -> None:
    picture = draw(shown(kind), Random(0), longest=100)
    assert picture.getpixel((50, 50)) == RED
    assert picture.getpixel((2, 2)) == (255, 255, 255)


def test_a_ring_is_open() -> None:
    picture = draw(shown("ring"), Random(0), longest=100)
    assert picture.getpixel((50, 50)) == (255, 255, 255)
    assert picture.getpixel((50, 24)) == RED


def test_a_hollow_square_shows_the_ground_inside() -> None:
    picture = draw(shown("square", hollow=True, edge=0.06), Random(0), longest=100)
    assert picture.getpixel((50, 50)) == (255, 255, 255)
    assert picture.getpixel((50, 20)) == RED


@pytest.mark.parametrize("kind", ICONS)
def test_an_icon_shows_its_colour(kind) -> None:
    picture = draw(shown(kind), Random(0), longest=100)
    counts = {pixel: count for count, pixel in picture.getcolors(10_000)}
    inked = sum(count for pixel, count in counts.items() if pixel != (255, 255, 255))
    assert counts[RED] > 0.25 * inked


def test_a_word_leaves_ink_where_it_stands_alone() -> None:
    word = Print(text="SUN", colour="red", rgb=RED, x=0.5, y=0.8, size=0.2, font="aileron")
    scene = Scene(width=1.0, height=1.0, ground=WHITE, prints=(word,))
    picture = draw(scene, Random(0), longest=100)
    assert picture.crop((0, 0, 100, 60)).getcolors() == [(6_000, (255, 255, 255))]
    assert RED in {pixel for _, pixel in picture.crop((0, 60, 100, 100)).getcolors(10_000)}


def test_what_is_no_square_is_padded_with_grey() -> None:
    cut = fit(Image.new("RGB", (40, 20), "red"), 20)
    assert cut.shape == (20, 20, 3)
    assert tuple(cut[1, 10]) == (127, 127, 127)
    assert tuple(cut[10, 10]) == (255, 0, 0)


def test_things_do_not_overlap_and_stay_in_the_picture() -> None:
    rng = Random(1)
    for _ in range(100):
        scene = MAKERS["crowd"](rng, unseen=False)
        for number, thing in enumerate(scene.things):
            assert 0 < thing.x < scene.width
            assert 0 < thing.y < scene.height
            for other in scene.things[:number]:
                assert max(abs(thing.x - other.x), abs(thing.y - other.y)) > 0.5 * (thing.size + other.size)


def test_what_is_drawn_stands_out_from_its_ground() -> None:
    rng = Random(2)
    for _ in range(200):
        scene = MAKERS["single"](rng, unseen=False)
        if scene.ground.kind == "flat":
            assert all(apart(thing.rgb, scene.ground.rgbs[0]) for thing in scene.things)


def test_every_shade_of_black_white_and_grey_is_without_tint() -> None:
    assert set(SHADES) == set(COLOURS)
    assert all(max(rgb) - min(rgb) <= 10 for name in ("black", "white", "grey") for rgb in SHADES[name])


def test_the_demonstrations_picture_is_a_red_circle_left_of_a_blue_square() -> None:
    picture = Image.open(io.BytesIO(demo_picture()))
    assert picture.size == (640, 480)
    red, green, blue = picture.getpixel((179, 192))
    assert red > 2 * max(green, blue)
    red, green, blue = picture.getpixel((467, 192))
    assert blue > 1.5 * max(red, green)
    assert demo_picture() == demo_picture()
