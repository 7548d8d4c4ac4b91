"""The labels of the patches are what the picture shows there."""

from dataclasses import replace

import numpy as np

from pipelines.training.vision.colours import COLOURS
from pipelines.training.vision.labels import HEADS, NONE, label
from pipelines.training.vision.outlines import SHAPES
from pipelines.training.vision.scene import Ground, Print, Scene, Thing

GROUND = Ground(kind="flat", colour="white", rgbs=((255, 255, 255),))
SQUARE = Thing(kind="square", colour="blue", rgb=(0, 0, 255), x=0.25, y=0.25, size=0.4)
NAMES = list(HEADS)


def head(labels: np.ndarray, name: str) -> np.ndarray:
    return labels[:, NAMES.index(name)].reshape(12, 12)


def test_a_things_patches_say_its_kind_and_colour() -> None:
    labels = label(Scene(width=1.0, height=1.0, ground=GROUND, things=(SQUARE,)), 12)
    kinds, colours = head(labels, "kind"), head(labels, "colour")
    assert kinds[3, 3] == SHAPES.index("square") + 1
    assert kinds[9, 9] == 0
    assert colours[3, 3] == COLOURS.index("blue")
    assert colours[9, 9] == COLOURS.index("white")


def test_every_label_is_a_choice_of_its_head() -> None:
    labels = label(Scene(width=1.0, height=0.6, ground=GROUND, things=(SQUARE,)), 12)
    assert labels.shape == (144, len(HEADS))
    for column, choices in zip(labels.T, HEADS.values(), strict=True):
        assert column.min() >= NONE
        assert column.max() < choices


def test_a_picture_that_is_no_square_is_labelled_as_padded() -> None:
    labels = label(Scene(width=1.0, height=0.5, ground=GROUND, things=(replace(SQUARE, size=0.2),)), 12)
    rows = head(labels, "kind").nonzero()[0]
    assert 4 <= rows.min() <= rows.max() <= 7


def test_counts_are_of_the_things_own_kind_and_colour() -> None:
    other = replace(SQUARE, x=0.75, colour="red")
    star = replace(SQUARE, y=0.75, kind="star")
    labels = label(Scene(width=1.0, height=1.0, ground=GROUND, things=(SQUARE, other, star)), 12)
    assert head(labels, "same kind")[3, 3] == 2
    assert head(labels, "same colour")[3, 3] == 2
    assert head(labels, "total")[3, 3] == 3


def test_letters_are_counted_from_left_to_right() -> None:
    line = Print(text="SUN", colour="red", rgb=(255, 0, 0), x=0.5, y=0.5, size=0.3, font="aileron")
    labels = label(Scene(width=1.0, height=1.0, ground=GROUND, prints=(line,)), 12)
    order = head(labels, "order")[5:7].max(axis=0)
    assert [place for place in dict.fromkeys(order.tolist()) if place] == [1, 2, 3]
