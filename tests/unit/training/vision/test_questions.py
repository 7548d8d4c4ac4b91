"""Answers are true of the scene that they are about."""

from random import Random

import pytest

from pipelines.training.vision.layout import MAKERS
from pipelines.training.vision.questions import describe, plural, questions, refer
from pipelines.training.vision.relations import place_of, relation
from pipelines.training.vision.scene import Ground, Print, Scene, Thing
from pipelines.training.vision.words import WORDS, held_out, word

WHITE = Ground(kind="flat", colour="white", rgbs=((255, 255, 255),))
CIRCLE = Thing(kind="circle", colour="red", rgb=(255, 0, 0), x=0.2, y=0.5, size=0.3)
SQUARE = Thing(kind="square", colour="blue", rgb=(0, 0, 255), x=0.8, y=0.5, size=0.2)


def scene(*things: Thing, prints: tuple[Print, ...] = ()) -> Scene:
    return Scene(width=1.0, height=1.0, ground=WHITE, things=things, prints=prints)


def answers(shown: Scene, topic: str) -> set[tuple[str, str]]:
    """All question and answer pairs of a topic that many draws bring up."""
    drawn = [one for seed in range(60) for one in questions(Random(seed), shown)]
    return {(one.question.lower(), one.answer) for one in drawn if one.topic == topic}


def test_the_colour_asked_for_is_the_things() -> None:
    for question, answer in answers(scene(CIRCLE, SQUARE), "colour"):
        if "circle" in question:
            assert answer == "Red."
        elif "square" in question:
            assert answer == "Blue."
        else:
            assert answer.startswith("There is no ")


def test_who_is_beside_is_seen_from_the_named_thing() -> None:
    for question, answer in answers(scene(CIRCLE, SQUARE), "who is beside"):
        if "left" in question:
            assert answer == ("A red circle." if "square" in question else "Nothing.")
        if "right" in question:
            assert answer == ("A blue square." if "circle" in question else "Nothing.")


def test_counts_are_those_of_the_scene() -> None:
    for question, answer in answers(scene(CIRCLE, SQUARE), "count"):
        if any(word in question for word in ("circles", "squares", "red", "blue")):
            assert answer == "1."
        elif any(word in question for word in ("shapes", "objects", "things")):
            assert answer == "2."
        else:
            assert answer == "0."


def test_a_description_names_what_is_there() -> None:
    assert describe(scene(CIRCLE, SQUARE)) == "A red circle is left of a small blue square."
    assert describe(scene()) == "A plain white picture."
    line = Print(text="sun", colour="black", rgb=(0, 0, 0), x=0.5, y=0.5, size=0.2, font="aileron")
    assert describe(scene(prints=(line,))) == "The word SUN in black on a white background."


def test_grey_is_spelled_as_the_question_spells_colour() -> None:
    grey = Thing(kind="star", colour="grey", rgb=(128, 128, 128), x=0.5, y=0.5, size=0.4)
    for question, answer in answers(scene(grey), "colour of the only thing"):
        assert answer == ("Gray." if "color" in question else "Grey.")


def test_a_thing_that_cannot_be_told_from_another_is_not_named() -> None:
    twin = Thing(kind="circle", colour="red", rgb=(255, 0, 0), x=0.8, y=0.5, size=0.3)
    assert refer(Random(0), CIRCLE, (CIRCLE, twin)) == ""


@pytest.mark.parametrize(
    ("x", "y", "wanted"), [(0.2, 0.5, "left"), (0.8, 0.5, "right"), (0.5, 0.2, "above"), (0.5, 0.8, "below")]
)
def test_relations_are_as_seen(x, y, wanted) -> None:
    middle = Thing(kind="star", colour="green", rgb=(0, 255, 0), x=0.5, y=0.5, size=0.1)
    other = Thing(kind="circle", colour="red", rgb=(255, 0, 0), x=x, y=y, size=0.1)
    assert relation(other, middle) == wanted


def test_what_lies_askew_has_no_relation() -> None:
    other = Thing(kind="circle", colour="red", rgb=(255, 0, 0), x=0.5, y=0.8, size=0.1)
    assert relation(CIRCLE, other) == ""


def test_a_place_is_said_only_where_it_is_clear() -> None:
    assert place_of(CIRCLE, scene(CIRCLE)) == "on the left"
    between = Thing(kind="circle", colour="red", rgb=(255, 0, 0), x=0.38, y=0.5, size=0.1)
    assert place_of(between, scene(between)) == ""


def test_plurals() -> None:
    assert [plural(kind) for kind in ("circle", "cross", "hexagon")] == ["circles", "crosses", "hexagons"]


@pytest.mark.parametrize("maker", ["text", "captioned"])
def test_held_out_words_are_never_in_training(maker) -> None:
    rng = Random(5)
    for _ in range(300):
        for line in MAKERS[maker](rng, unseen=False).prints:
            if not line.numeric:
                assert not held_out(line.text.split()[-1])


def test_measuring_uses_words_that_training_holds_out() -> None:
    rng = Random(6)
    assert all(held_out(word(rng, unseen=True)) for _ in range(100))
    assert 0.05 < sum(map(held_out, WORDS)) / len(WORDS) < 0.25
