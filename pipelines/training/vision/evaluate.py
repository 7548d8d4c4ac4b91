"""What spark-vision is measured by: held-out scenes, words, fonts and backgrounds, and wordings it never met."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from pipelines.training.tasks import Example, Message, Task, asked, text_of
from pipelines.training.vision import layout
from pipelines.training.vision.icons import ICONS
from pipelines.training.vision.pictures import draw, png, wear
from pipelines.training.vision.questions import Asked, kindly, plural, questions
from pipelines.training.vision.relations import relation
from pipelines.training.vision.scene import Scene
from pipelines.training.vision.small_talk import small_talk

_LONGEST_SIDES = (112, 640)  # of a picture, in pixels: training draws none above 240
_MAX_TOKENS = 48
_RELATIONS = ("side or side", "is it beside", "who is beside", "where from")
_COLOURS = (
    "colour",
    "colour of the only thing",
    "colour of the text",
    "colour of the number",
    "colour of the ground",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A held-out scene and one question about it."""

    scene: Scene
    asked: Asked


def same_words(example: Example, reply: Message) -> bool:
    """Judge that the reply says what is expected; case, full stops and the spelling of grey do not matter."""
    return plain(text_of(reply)) == plain(example.expected)


def names_all(example: Example, reply: Message) -> bool:
    """Judge that a description names the kind and the colour of every thing, and the printed text."""
    said = plain(text_of(reply))
    return all(re.search(rf"\b{re.escape(word)}", said) for word in example.known["named"])


def plain(text: str) -> str:
    """Text without what does not matter to its meaning."""
    return text.lower().replace("gray", "grey").strip(" .!\"'\n")


def about(topics: tuple[str, ...], *makers: str) -> Callable[[Random], Example]:
    """Return a drawing of questions on topics, from scenes of some kinds."""
    return lambda rng: _example(rng, _about(rng, topics, makers))


def described(rng: Random) -> Example:
    """Draw a question for a description."""
    shown = _about(rng, ("describe",), ("plain", "single", "icon", "pair", "group", "text", "digits"))
    named = [word for thing in shown.scene.things for word in (thing.kind, thing.colour)]
    named += [line.read.lower() for line in shown.scene.prints]
    return _example(rng, shown, named or [shown.scene.ground.colour])


def missing(rng: Random) -> Example:
    """Draw a question about what a picture does not show."""
    while True:
        shown = _about(rng, ("colour", "where", "size", "word", "number"), ("single", "pair", "group", "text"))
        if shown.asked.answer.startswith("There is no"):
            return _example(rng, shown)


def unpictured(rng: Random) -> Example:
    """Draw a message without a picture."""
    spoken = small_talk(rng)
    return Example(messages=(asked(spoken.question),), expected=spoken.answer, max_tokens=_MAX_TOKENS)


def reworded(rng: Random) -> Example:
    """Draw a question in a wording that training never uses."""
    while True:
        scene = layout.MAKERS[rng.choice(("single", "pair", "group", "page", "digits"))](rng, unseen=True)
        drawn = _reworded(rng, scene)
        if drawn is not None:
            return _example(rng, Shown(scene=scene, asked=drawn))


def _reworded(rng: Random, scene: Scene) -> Asked | None:
    if scene.prints:
        line = scene.prints[0]
        noun = "number" if line.numeric else "word"
        wording = rng.choice(("Can you read the {}?", "Which {} can you read?", "Spell the {} that you see."))
        return Asked(topic=noun, question=wording.format(noun), answer=line.read)
    things = scene.things
    if len({thing.kind for thing in things}) == 1 and len(things) > 1:
        wording = rng.choice(("How many {} can be seen here?", "Tell me how many {} there are.", "Number of {}?"))
        return Asked(topic="count", question=wording.format(plural(things[0].kind)), answer=str(len(things)))
    if len(things) == 1:
        colour = (
            "What's the colour of that {}?",
            "Do you know which color the {} has?",
            "The {}'s colour, please.",
        )
        shape = ("Could you tell me what shape this is?", "Identify the shape.", "This is which shape?")
        if rng.random() < 0.5:
            question = rng.choice(colour).format(things[0].kind)
            return Asked(topic="colour", question=question, answer=things[0].colour)
        return Asked(topic="shape", question=rng.choice(shape), answer=things[0].kind)
    how = relation(things[0], things[1])
    if how not in ("left", "right"):
        return None
    question = f"Which side of {kindly(things[1])} is {kindly(things[0])} on, left or right?"
    return Asked(topic="relation", question=question, answer=how)


def _about(rng: Random, topics: tuple[str, ...], makers: tuple[str, ...]) -> Shown:
    while True:
        scene = layout.MAKERS[rng.choice(makers)](rng, unseen=True)
        fitting = [one for one in questions(rng, scene) if one.topic in topics and not _of_icon(one)]
        if fitting:
            return Shown(scene=scene, asked=rng.choice(fitting))


def _of_icon(asked: Asked) -> bool:
    """Whether a question for a shape has an icon's name as its answer: not every icon is a shape."""
    return asked.topic.startswith("shape") and plain(asked.answer) in ICONS


def _example(rng: Random, shown: Shown, named: list[str] | None = None) -> Example:
    picture = png(wear(draw(shown.scene, rng, longest=rng.randint(*_LONGEST_SIDES)), rng))
    return Example(
        messages=(asked(shown.asked.question, picture),),
        expected=shown.asked.answer,
        max_tokens=_MAX_TOKENS,
        known={"named": named or []},
    )


def _present(draw_example: Callable[[Random], Example]) -> Callable[[Random], Example]:
    """Draw until the question is about something that the picture shows."""

    def drawn(rng: Random) -> Example:
        while (example := draw_example(rng)).expected.startswith("There is no"):
            pass
        return example

    return drawn


_SHAPES = _present(about(("shape", "shape of a colour"), "single", "single", "pair"))
_PAGES = ("page", "page", "text")  # as most people print, and on any ground in any colour
_THINGS = ("single", "pair", "group")

TASKS = (
    Task(name="colour", draw=_present(about(_COLOURS, *_THINGS, "plain", "text")), right=same_words, target=0.97),
    Task(name="shape", draw=_SHAPES, right=same_words, target=0.97),
    Task(name="count up to 5", draw=about(("count",), "group", "group", "crowd"), right=same_words, target=0.9),
    Task(
        name="left, right, above, below, of 2 to 4 things",
        draw=about(_RELATIONS, "pair", "pair", "crowd"),
        right=same_words,
        target=0.85,
    ),
    Task(name="place in the picture", draw=_present(about(("where",), *_THINGS)), right=same_words),
    Task(name="printed word, never seen", draw=_present(about(("word",), *_PAGES)), right=same_words, target=0.8),
    Task(name="printed word beside shapes", draw=_present(about(("word",), "captioned")), right=same_words),
    Task(name="number", draw=_present(about(("number",), "digits")), right=same_words),
    Task(name="large or small", draw=_present(about(("size",), "single", "pair")), right=same_words),
    Task(name="icon", draw=about(("icon",), "icon"), right=same_words),
    Task(name="is there …?", draw=about(("is there", "is it so"), *_THINGS), right=same_words),
    Task(name="description names all", draw=described, right=names_all),
    Task(name="asked about what is not there", draw=missing, right=same_words),
    Task(name="wordings never seen", draw=reworded, right=same_words),
    Task(name="no picture", draw=unpictured, right=same_words),
)
